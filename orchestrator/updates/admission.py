"""What is admitted, skipped and quarantined, and why: a pure function of a listing, the admission log and the rules.

Order is the order of admission, never that of names: what comes late is the next experience, and what was admitted
stays what it was, whatever lies in the folder now. A file that was decided on is not read again as long as its size and
version are the same. What a listing shows decides; events may only say that it is worth looking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestrator.updates.admission_entries import AdmittedExperience, FileRecord, Member, SchemaRecord
from orchestrator.updates.admission_record import State
from orchestrator.updates.delayed_labels import (
    LABELS,
    Joins,
    LabelJudge,
    closed,
    is_label_file,
    is_over,
)
from orchestrator.updates.file_verdict import FileJudge, Found, Look, first_contents, same_version
from pipelines.config.sections.source_section import SUFFIXES, BatchSpec, SourceSpec, seconds_of
from pipelines.data.datasets.location import natural_order

LookAt = Callable[[Found], Look | None]
"""Reads a file; None: it has changed since it was listed, or is gone."""


@dataclass(frozen=True)
class Decision:
    """What a step adds to the log.

    Attributes:
        contents: what is common to all files, if it is fixed now.
        files: decisions on files.
        groups: files, admitted now or before, that become an experience together.
        withdrawn: serial numbers of experiences that were never trained and whose files are gone.
        blocked: the file of an experience that was not trained yet is being rewritten: nothing is trained now.
        stopped: more files are in quarantine than allowed: nothing is trained.
        missing: of files that wait for labels, how many rows have none, where that is another number than before.
        closed: files of labels that are joined no more.
    """

    contents: SchemaRecord | None = None
    files: tuple[FileRecord, ...] = ()
    groups: tuple[tuple[FileRecord, ...], ...] = ()
    withdrawn: tuple[int, ...] = ()
    blocked: bool = False
    stopped: bool = False
    missing: Mapping[str, int] = field(default_factory=dict)
    closed: tuple[Member, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.contents or self.files or self.groups or self.withdrawn or self.missing)


def decide(
    listing: Iterable[Found],
    state: State,
    source: SourceSpec,
    now: float,
    look: LookAt,
    *,
    trained: int,
    joins: Joins | None = None,
) -> Decision:
    """Decide on what is new.

    Args:
        listing: all files below the source, markers included.
        now: in seconds since 1970, by the clock of what holds the files.
        look: called for files that are ready and not known in this version, once for each.
        trained: how many of the experiences have a commit.
        joins: what was read of files whose labels come later; needed with `mature`.

    Raises:
        DataError: the first files have no labels that could be classes.
    """
    seen: dict[str, Look | None] = {}

    def looked(found: Found) -> Look | None:
        if found.key not in seen:
            seen[found.key] = look(found)
        return seen[found.key]

    files = sorted(listing, key=lambda found: natural_order(found.key))
    there = {found.key: found for found in files if is_data(found.key, source) or is_label_file(found.key)}
    here = {key: found for key, found in there.items() if not is_label_file(key)}
    keys = {found.key for found in files}
    unknown = [one for one in there.values() if _is_ready(one, source, now, keys) and not _known(one, state, source)]
    new = [found for found in unknown if found.key in here]
    withdrawn, blocked = _withdrawn(state.experiences[trained:], here, state, {found.key for found in new}, looked)
    gone = {one.serial for one in withdrawn}
    kept = [member for one in state.experiences if one.serial not in gone for member in one.files]
    waits = [state.files[key] for key in state.waiting if same_version(state.files[key], here.get(key))]
    # Files that waited under another setting of `mature` are checked again, and do not count as known content.
    waits = [file for file in waits if (file.since is None) == (source.mature is None)]
    pairs = {(file.key, file.sha256) for file in kept} | {(file.key, file.sha256) for file in waits}
    learned = {sha256: key for key, sha256 in sorted(pairs, reverse=True)}
    contents = state.contents
    if _count(state, (), there) > source.max_quarantined:
        # The other files are checked once a person has decided, or has corrected the files.
        unknown = [found for found in unknown if _written_again(found, state)]
        new = [found for found in new if _written_again(found, state)]
    if contents is None and new:
        contents = first_contents(source, [(found.key, looked(found)) for found in new])
    judge = FileJudge(source, contents, learned, pairs, {member.key for member in kept}, state)
    decided: list[FileRecord] = []
    for found in new:
        if _count(state, decided, there) > source.max_quarantined and not _written_again(found, state):
            continue
        seen_ = looked(found)
        if seen_ is not None:
            decided.append(judge(found, seen_))
    changed = {file.key for file in decided}
    waiting = [file for file in waits if file.key not in changed]
    waiting += [file for file in decided if file.verdict == "waiting"]
    groups = grouped(waiting, {found.key: found.modified for found in here.values()}, source, now)
    fixed = contents if state.contents is None and any(file.verdict == "waiting" for file in decided) else None
    made = Decision(contents=fixed, withdrawn=tuple(one.serial for one in withdrawn), blocked=blocked)
    if source.mature is None:
        made = replace(made, files=tuple(decided), groups=tuple(map(tuple, groups)))
    else:
        assert joins is not None
        label_judge = LabelJudge(source, state, joins, waiting, now)
        for found in (one for one in unknown if one.key not in here):
            if _count(state, decided, there) > source.max_quarantined and not _written_again(found, state):
                continue
            if (seen_ := looked(found)) is not None:
                decided.append(label_judge(found, seen_))
        made = _with_labels(made, decided, groups, label_judge)
    return replace(made, stopped=_count(state, made.files, there) > source.max_quarantined)


def _with_labels(
    made: Decision, decided: list[FileRecord], groups: list[list[FileRecord]], judge: LabelJudge
) -> Decision:
    """What is decided where labels come later: a group waits until its labels are there, or `mature` is over."""
    state, source, now = judge.state, judge.source, judge.now
    missing = judge.missing() if any(file.verdict in ("waiting", "joined") for file in decided) else state.missing
    files = {file.key: file for file in decided}
    for file in judge.waiting:
        if file.key in files:
            files[file.key] = file.model_copy(update={"missing": missing[file.key]})
    ripe: list[tuple[FileRecord, ...]] = []
    for group in groups:
        if not all(missing[file.key] == 0 or is_over(file, source, now) for file in group):
            continue
        if any(missing[file.key] < (file.rows or 0) for file in group):
            ripe.append(tuple(files.get(file.key, file) for file in group))
            continue
        for file in group:
            reason = f"no label of it came within {source.mature}"
            update = {"verdict": "quarantined", "kind": "unlabelled", "reason": reason, "missing": None, "drift": None}
            files[file.key] = file.model_copy(update=update)
    done = {file.key for group in ripe for file in group}
    rest = [file for file in judge.waiting if file.key not in done and files.get(file.key, file).verdict == "waiting"]
    return replace(
        made,
        files=tuple(files.values()),
        groups=tuple(ripe),
        missing={
            file.key: missing[file.key]
            for file in judge.waiting
            if file.key not in files and missing[file.key] != state.missing.get(file.key)
        },
        closed=closed(state, judge.joined, rest, source, now),
    )


def grouped(
    waiting: Sequence[FileRecord], modified: Mapping[str, float], source: SourceSpec, now: float
) -> list[list[FileRecord]]:
    """The files that become an experience together, as far as each experience is complete.

    Args:
        waiting: in the order of admission.
        modified: when each was written.
    """
    batch: BatchSpec = source.batch
    if batch.every is not None:
        length = seconds_of(batch.every)
        grace = seconds_of(source.ready.age) if source.ready.age is not None else 0.0
        periods: dict[int, list[FileRecord]] = {}
        for file in waiting:
            periods.setdefault(int(modified[file.key] // length), []).append(file)
        return [periods[period] for period in sorted(periods) if (period + 1) * length + grace <= now]
    groups: list[list[FileRecord]] = [[]]
    for file in waiting:
        groups[-1].append(file)
        full = len(groups[-1]) >= batch.files if batch.files else sum(f.rows or 0 for f in groups[-1]) >= batch.rows  # type: ignore[operator]
        if full:
            groups.append([])
    return groups[:-1]


def in_quarantine(state: State, listed: Iterable[str]) -> list[FileRecord]:
    """The files in quarantine that are still there, in natural order."""
    there = set(listed)
    found = [file for key, file in state.files.items() if file.verdict == "quarantined" and key in there]
    return sorted(found, key=lambda file: natural_order(file.key))


def is_data(key: str, source: SourceSpec) -> bool:
    """Whether a file of this name can hold rows; others are markers, hidden, or of no concern."""
    return key.endswith(SUFFIXES[source.format]) and not any(part[:1] in "._" for part in key.split("/"))


def _is_ready(found: Found, source: SourceSpec, now: float, keys: set[str]) -> bool:
    ready = source.ready
    if source.is_topic and not found.key.startswith(LABELS):
        return True  # messages are never changed
    if ready.age is not None:
        return now - found.modified >= seconds_of(ready.age)
    assert ready.marker is not None
    if ready.marker.startswith("*"):
        return f"{found.key}{ready.marker[1:]}" in keys
    folder = found.key.rpartition("/")[0]
    return (f"{folder}/{ready.marker}" if folder else ready.marker) in keys


def _known(found: Found, state: State, source: SourceSpec) -> bool:
    entry = state.files.get(found.key)
    # Files that waited under another setting of `mature` are checked again.
    again = entry is not None and entry.verdict == "waiting" and (entry.since is None) != (source.mature is None)
    open_ = entry is None or again or entry.verdict in ("approved", "released")
    return entry is not None and same_version(entry, found) and not open_


def _withdrawn(
    untrained: Sequence[AdmittedExperience],
    here: Mapping[str, Found],
    state: State,
    new: set[str],
    look: LookAt,
) -> tuple[list[AdmittedExperience], bool]:
    """The experiences that cannot be trained any more, and whether one may yet turn out to be so."""
    lost: list[AdmittedExperience] = []
    blocked = False
    for experience in untrained:
        for member in experience.files:
            found, entry = here.get(member.key), state.files.get(member.key)
            if found is not None and entry is not None and same_version(entry, found) and member.key not in new:
                content: str | None = entry.sha256
            elif found is None:
                content = None
            elif member.key in new and (seen := look(found)) is not None:
                content = seen.sha256
            else:
                blocked = True
                continue
            if content != member.sha256:
                lost.append(experience)
                break
    return lost, blocked


def _written_again(found: Found, state: State) -> bool:
    """Whether a file that was not known yet in this version is in quarantine in another one."""
    entry = state.files.get(found.key)
    return entry is not None and entry.verdict == "quarantined"


def _count(state: State, decided: Iterable[FileRecord], here: Mapping[str, Found]) -> int:
    """How many of the files that are there are in quarantine."""
    last = {**state.files, **{file.key: file for file in decided}}
    return sum(file.verdict == "quarantined" and key in here for key, file in last.items())
