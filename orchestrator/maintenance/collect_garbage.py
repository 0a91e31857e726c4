"""Removing commits, blobs and checkpoints that nothing needs any more.

`gc` keeps the commits that a ref reaches; the commits that follow a ref's commit directly (a run that was killed after
writing a commit and before moving the ref leaves one); the previous champion; commits younger than the age
limit; and all their ancestors. Decisions are kept.
Everything else is removed: first the commits, children before parents, then the blobs that no commit names. If `gc` is
interrupted, only whole chains remain, and running it again removes the rest.

A writer does not send a blob again that it finds in the store. `gc` could remove this blob before the commit is
written, and therefore holds the claim that excludes runs and searches. A program that writes without a claim is
protected by the age limit, if it takes less time from its first blob to its ref, and relies on no older blob that no
commit needs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CorruptCommit, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim import OnWarning, claimed
from orchestrator.lineage.commit import Commit, utc_now
from orchestrator.lineage.decisions import champion_before, decision_state
from orchestrator.maintenance.rewrite_commit import rewrite
from orchestrator.maintenance.store_contents import Contents, checkpoint_name, read_contents
from orchestrator.storage.parallel_requests import in_parallel
from orchestrator.updates.admission_log import whole_log

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.store import Entry

PARALLEL = 8
# Younger objects are kept.
MINIMUM_AGE_S = 3600.0
# A checkpoint without a commit: its run may still be resumed.
CHECKPOINT_AGE_S = 7 * 24 * 3600.0


@dataclass
class Garbage:
    """What `gc` removes.

    Attributes:
        pipeline: its name.
        commits: ids, children before parents.
        thinned: ids of the commits that keep their record and lose their blobs, because of `keep`.
        blobs: size in bytes by SHA-256.
        runs: keys of checkpoints, scratch, outlines and unfinished writes.
        bytes: what becomes free.
        kept: number of commits that stay.
    """

    pipeline: str
    commits: list[str] = field(default_factory=list)
    thinned: list[str] = field(default_factory=list)
    blobs: dict[str, int] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    bytes: int = 0
    kept: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "commits": self.commits,
            "thinned": self.thinned,
            "blobs": sorted(self.blobs),
            "runs": self.runs,
            "bytes": self.bytes,
            "kept": self.kept,
        }


def collect(
    lineage: Lineage,
    *,
    keep: int | None = None,
    minimum_age: float = MINIMUM_AGE_S,
    dry_run: bool = False,
    on_warning: OnWarning | None = None,
) -> Garbage:
    """Remove what no ref needs.

    Args:
        keep: how many of the newest commits of each ref's history keep their blobs; None: all.
        minimum_age: in seconds; younger objects are kept.
        dry_run: only report what would be removed; may be called during a run.
        on_warning: called with warnings.

    Raises:
        Claimed: a run, a search or another care command is working on the pipeline.
        CorruptCommit: a damaged commit or ref does not show which blobs are needed; nothing was removed.
        StorageError: the storage cannot be used.
    """
    if dry_run:
        return _find(lineage, keep, time.time() - minimum_age, time.time() - CHECKPOINT_AGE_S)
    with claimed(lineage, "gc", on_warning=on_warning) as claim:
        # Ages are by the store's clock, not by this machine's.
        now = next(entry.modified for entry in lineage.store.entries(claim.key) if entry.key == claim.key)
        garbage = _find(lineage, keep, now - minimum_age, now - CHECKPOINT_AGE_S)
        _remove(lineage.fenced(claim.fence), garbage)
    return garbage


@dataclass(frozen=True)
class _Node:
    """The parts of a commit that decide what is removed."""

    parent: str | None
    blobs: frozenset[str]
    thinned: bool


def _find(lineage: Lineage, keep: int | None, limit: float, checkpoint_limit: float) -> Garbage:
    contents = read_contents(lineage)
    nodes = _nodes(lineage, contents)
    histories = [_history(lineage, name, nodes) for name in contents.refs]
    tips = {history[0] for history in histories if history}
    kept = {id_ for history in histories for id_ in history}
    others = {id_ for id_, entry in contents.commits.items() if entry.modified > limit}
    others |= {id_ for id_, node in nodes.items() if node is not None and node.parent in tips}
    # What `everlearn rollback` goes back to.
    others |= nodes.keys() & {champion_before(lineage, decision_state(lineage))}
    for id_ in others - kept:
        if nodes[id_] is None:
            raise _damaged(lineage, id_, "and too young to be removed")
    complete = others | {id_ for history in histories for id_ in history[: keep or len(history)]}
    kept |= _with_ancestors(others, nodes)
    complete |= kept if keep is None else set()
    removed = _children_first(contents.commits.keys() - kept, nodes)
    thinned = [id_ for id_ in sorted(kept - complete) if not _node(nodes, id_).thinned]
    needed = {sha256 for id_ in kept - set(thinned) for sha256 in _node(nodes, id_).blobs}
    needed |= _admitted(lineage)
    blobs = {s: e.bytes for s, e in contents.blobs.items() if s not in needed and e.modified <= limit}
    runs = [e for e in [*contents.scratch, *contents.unfinished] if e.modified <= limit]
    # A step reads the newest outline of its chain; those of unfinished writes are among the others.
    read = {next((id_ for id_ in history if id_ in contents.outlines), None) for history in histories}
    runs += [entry for id_, entry in contents.outlines.items() if id_ not in read and entry.modified <= limit]
    for entry in contents.checkpoints:
        planned, _ = checkpoint_name(entry)
        if entry.modified <= (limit if planned in kept else checkpoint_limit):
            runs.append(entry)
    freed: Iterable[Entry] = [*(contents.commits[id_] for id_ in removed), *runs]
    return Garbage(
        pipeline=lineage.pipeline,
        commits=removed,
        thinned=thinned,
        blobs=blobs,
        runs=sorted(entry.key for entry in runs),
        bytes=sum(entry.bytes for entry in freed) + sum(blobs.values()),
        kept=len(kept & contents.commits.keys()),
    )


def _admitted(lineage: Lineage) -> set[str]:
    """The test sets that the admission log needs."""
    state, problems = whole_log(lineage)
    for key, problem in problems:
        raise CorruptCommit(
            f"{lineage.store.uri}/{key}: {problem}: its test sets are unknown: nothing was removed.\n"
            "everlearn fsck says what is damaged and what to do"
        )
    return set(state.blobs())


def _remove(lineage: Lineage, garbage: Garbage) -> None:
    name, at = lineage.pipeline, utc_now()
    for id_ in garbage.thinned:
        rewrite(lineage, id_, lambda commit: commit.revised(blobs={}, memories={}, thinned=at))
    for id_ in garbage.commits:
        lineage.delete(layout.commit_key(name, id_))
    in_parallel(lineage.delete, [layout.blob_key(name, sha256) for sha256 in garbage.blobs], PARALLEL)
    in_parallel(lineage.delete, garbage.runs, PARALLEL)


def _nodes(lineage: Lineage, contents: Contents) -> dict[str, _Node | None]:
    """Every commit by id; None: damaged."""
    ids = list(contents.commits)
    return dict(zip(ids, in_parallel(partial(_read, lineage), ids, PARALLEL), strict=True))


def _read(lineage: Lineage, id_: str) -> _Node | None:
    try:
        commit: Commit = lineage.read(id_)
    except CorruptCommit:
        return None
    return _Node(commit.parent, frozenset(commit.referenced()), commit.thinned is not None)


def _history(lineage: Lineage, name: str, nodes: Mapping[str, _Node | None]) -> list[str]:
    """The commits that a ref reaches, newest first."""
    ref = lineage.ref(name)
    current = ref.commit if ref else None
    history: list[str] = []
    while current is not None:
        if current not in nodes:
            raise CorruptCommit(
                f"commit {current[:12]}, which the ref {name!r} of pipeline {lineage.pipeline} reaches, is missing: "
                f"nothing was removed.\neverlearn fsck says what is damaged"
            )
        if nodes[current] is None:
            raise _damaged(lineage, current, f"and the ref {name!r} reaches it")
        history.append(current)
        current = _node(nodes, current).parent
    return history


def _with_ancestors(ids: Iterable[str], nodes: Mapping[str, _Node | None]) -> set[str]:
    found: set[str] = set()
    for id_ in ids:
        current: str | None = id_
        while current is not None and current not in found and nodes.get(current) is not None:
            found.add(current)
            current = _node(nodes, current).parent
    return found


def _children_first(ids: Iterable[str], nodes: Mapping[str, _Node | None]) -> list[str]:
    """`ids` in an order in which no commit comes after its parent."""
    depth: dict[str, int] = {}
    for id_ in sorted(ids):
        path: list[str] = []
        current: str | None = id_
        while current is not None and current not in depth:
            path.append(current)
            node = nodes.get(current)
            current = node.parent if node else None
        below = depth[current] if current is not None else -1
        for step, passed in enumerate(reversed(path), start=1):
            depth[passed] = below + step
    return sorted(ids, key=lambda id_: (-depth[id_], id_))


def _node(nodes: Mapping[str, _Node | None], id_: str) -> _Node:
    node = nodes[id_]
    if node is None:
        raise StorageError(f"commit {id_[:12]} is damaged")
    return node


def _damaged(lineage: Lineage, id_: str, why: str) -> CorruptCommit:
    return CorruptCommit(
        f"{lineage.store.uri}/{layout.commit_key(lineage.pipeline, id_)}: damaged, {why}: what it needs is not known, "
        "so nothing was removed.\neverlearn fsck says what is damaged and what to do"
    )
