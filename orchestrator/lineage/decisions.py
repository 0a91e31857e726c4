"""Decisions: what was judged, promoted and rolled back, by whom and why; records that are only ever added.

Each record names the SHA-256 of the one before it, so that a record that was changed, left out or put in is found
(`everlearn fsck`, `everlearn audit`). The newest record holds the state that follows from all: which commit is the
champion, which is proposed, and which are bad. The refs `champion` and `proposed` are moved after a record was added;
where a process ends in between, the next one moves them (`settle`).
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from orchestrator.errors import CorruptCommit, MissingKey, RefConflict, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import canonical_json, digest, parse_json
from orchestrator.lineage.commit import Sha256, utc_now
from orchestrator.lineage.decision_index import DecisionIndex, Number
from orchestrator.lineage.fencing import create, is_note
from orchestrator.lineage.past_outline import ancestry

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage

FORMAT = 2
CHAMPION, PROPOSED = "champion", "proposed"

Kind = Literal["verdict", "proposal", "promotion", "rollback", "update", "retune", "training"]
UPDATES: tuple[Kind, ...] = ("update", "retune", "training")
"""Decisions on training, which move nothing. Format 1 does not know them."""
Text = Annotated[str, Field(max_length=2000)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DecisionState(_Record):
    """What follows from a record and all before it.

    Attributes:
        champion: id of the commit in use; None: none was promoted.
        proposed: id of the commit that waits for a person; None: none.
        bad: ids of the commits that were rolled back, sorted.
        tests: verdicts so far in which a commit was compared with a champion.
        refused: which of these refused, by their number from 1.
    """

    champion: Sha256 | None = None
    proposed: Sha256 | None = None
    bad: tuple[Sha256, ...] = ()
    tests: Annotated[int, Field(ge=0)] = 0
    refused: tuple[Number, ...] = ()


class Decision(_Record):
    """One record.

    Attributes:
        format: of this record.
        number: its place, from 1.
        previous: checksum of the record before; None for the first.
        kind: `verdict`: a commit was judged; `proposal`: it waits for a person; `promotion`: it became the champion;
            `rollback`: an earlier commit became the champion again, and the one before it is bad; `update`: whether
            what was admitted is trained now; `retune`: settings were searched; `training`: what a training took.
        at: when, ISO 8601, UTC.
        by: user and host.
        commit: id of the commit that was judged, proposed, promoted or rolled back to; of an update and a retune the
            newest one, of a training the one that came of it.
        champion: id of the champion before; None: there was none.
        outcome: of a verdict: `passed`, `refused` or `undecided`; of an update: `train` or `wait`.
        reason: why.
        forced: whether it was done against the verdict or without one.
        evidence: what the verdict rests on.
        state: what follows.
        checksum: SHA-256 of the canonical JSON of all other fields.
    """

    format: Annotated[int, Field(ge=1, le=FORMAT)] = 1
    number: Number
    previous: Sha256 | None
    kind: Kind
    at: Annotated[str, Field(max_length=40)]
    by: Annotated[str, Field(max_length=400)]
    commit: Sha256
    champion: Sha256 | None
    outcome: Literal["passed", "refused", "undecided", "train", "wait"] | None = None
    reason: Text = ""
    forced: bool = False
    evidence: dict[str, JsonValue] = {}
    state: DecisionState
    checksum: Sha256

    @classmethod
    def create(cls, **fields: Any) -> Self:
        """A record of all fields but `at`, `by` and `checksum`."""
        version = FORMAT if fields.get("kind") in UPDATES else 1
        given = {"format": version, "at": utc_now(), "by": _who(), **fields, "checksum": "0" * 64}
        document = to_jsonable_python(given)
        settled = cls.model_validate_json(canonical_json(document)).model_dump(mode="json")
        del settled["checksum"]
        return cls.model_validate_json(canonical_json({**settled, "checksum": digest(settled)}))

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Read and verify what `to_json` wrote.

        Raises:
            CorruptCommit: it is damaged or was changed.
            StorageError: it was made by a newer version.
        """
        try:
            document = parse_json(data)
            if not isinstance(document, dict):
                raise ValueError("not an object")
            found = document.get("format")
            if type(found) is int and found > FORMAT:
                raise StorageError(f"{source}: made by a newer Everlearn.\nUpgrade Everlearn")
            if digest({key: value for key, value in document.items() if key != "checksum"}) != document.get("checksum"):
                raise ValueError("its checksum is wrong")
            return cls.model_validate_json(data)
        except (ValidationError, ValueError, RecursionError, TypeError) as error:
            problem = "not a decision" if isinstance(error, ValidationError) else str(error)[:200]
            raise CorruptCommit(f"{source}: damaged: {problem}.\nRestore it from a copy of the storage") from None

    def to_json(self) -> bytes:
        """The record as it is stored: canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))


def decision_numbers(lineage: Lineage) -> list[int]:
    """The numbers of the keys that decisions are stored under, ascending."""
    prefix = layout.decisions_prefix(lineage.pipeline)
    names = (key.removeprefix(prefix) for key in lineage.store.list(prefix))
    return sorted(int(name[:-5]) for name in names if re.fullmatch(r"\d{9}\.json", name))


def read_decision(lineage: Lineage, number: int) -> Decision | None:
    """A record by its number; None where there is none. Raises CorruptCommit when it is damaged or misplaced."""
    key = layout.decision_key(lineage.pipeline, number)
    try:
        data = lineage.store.get(key)
    except MissingKey:
        return None
    if is_note(data):
        return None
    decision = Decision.parse(data, f"{lineage.store.uri}/{key}")
    if decision.number != number:
        raise CorruptCommit(
            f"{lineage.store.uri}/{key}: it is decision {decision.number}, stored under another number.\n"
            "Restore it from a copy of the storage"
        )
    return decision


def newest_first(lineage: Lineage) -> Iterator[Decision]:
    """All records, the newest first; each costs a request when it is asked for.

    Raises:
        CorruptCommit: one of them is damaged, missing, or does not belong to its neighbours.
    """
    decision = last_decision(lineage)
    while decision is not None:
        yield decision
        child = decision
        decision = read_decision(lineage, child.number - 1) if child.number > 1 else None
        if decision is None and child.previous is not None:
            earlier = [number for number in decision_numbers(lineage) if number < child.number]
            if not earlier:
                raise CorruptCommit(
                    f"{lineage.store.uri}/{layout.decision_key(lineage.pipeline, 1)}: the decisions before number "
                    f"{child.number} are missing.\nRestore them from a copy of the storage"
                )
            raise _changed(lineage, earlier[-1], child)
        if decision is not None and not _follows(decision, child):
            raise _changed(lineage, decision.number, child)


def last_decision(lineage: Lineage) -> Decision | None:
    """The newest record. Raises CorruptCommit when it is damaged."""
    return _newest(lineage)[0]


def decision_index(lineage: Lineage) -> DecisionIndex | None:
    """What all records say together, newer ones than the stored index knows included; None: there is no index.

    Raises:
        CorruptCommit: a record is damaged.
    """
    return _newest(lineage)[1]


def index_of(decisions: Iterable[Decision], index: DecisionIndex | None = None) -> DecisionIndex:
    """The index of records, oldest first, after those that an index knows."""
    index = index or DecisionIndex()
    for one in decisions:
        state = one.state
        index = index.followed(one.number, one.checksum, one.kind, one.commit, state.champion, state.bad)
    return index


def stored_index(lineage: Lineage) -> DecisionIndex | None:
    """The index as it is stored; None where it is missing or damaged: it follows from the records."""
    try:
        data = lineage.store.get(layout.decision_index_key(lineage.pipeline))
        return None if is_note(data) else DecisionIndex.model_validate_json(data)
    except (MissingKey, ValidationError):
        return None


def last_of(lineage: Lineage, kind: Kind) -> Decision | None:
    """The newest record of a kind. Raises CorruptCommit, as `newest_first`."""
    index = decision_index(lineage)
    if index is None:
        return next((one for one in newest_first(lineage) if one.kind == kind), None)
    number = index.newest.get(kind)
    return None if number is None else read_decision(lineage, number)


def _newest(lineage: Lineage) -> tuple[Decision | None, DecisionIndex | None]:
    """The newest record, and the index with it; by a list of all where there is no index."""
    index = stored_index(lineage)
    last = read_decision(lineage, index.records) if index is not None and index.records else None
    if index is None or last is None or last.checksum != index.last:
        found = (read_decision(lineage, number) for number in reversed(decision_numbers(lineage)))
        return next((one for one in found if one is not None), None), None
    while (further := read_decision(lineage, last.number + 1)) is not None:
        index, last = index_of([further], index), further
    return last, index


def _changed(lineage: Lineage, number: int, child: Decision) -> CorruptCommit:
    return CorruptCommit(
        f"{lineage.store.uri}/{layout.decision_key(lineage.pipeline, number)}: decision {child.number} was made after "
        "another one than this: the history was changed.\n"
        "Restore it from a copy of the storage; everlearn fsck says what is damaged"
    )


def decision_state(lineage: Lineage) -> DecisionState:
    """What follows from all decisions so far. Raises as `last_decision`."""
    last = last_decision(lineage)
    return last.state if last else DecisionState()


def append_decision(lineage: Lineage, **fields: Any) -> Decision:
    """Add a record after the newest; for the holder of the claim `promotion`.

    Args:
        fields: as `Decision.create`, without `number`, `previous` and `champion`.

    Raises:
        RefConflict: another process added one at the same time.
        ClaimLost: the claim was taken over; the record is not added.
    """
    last, index = _newest(lineage)
    decision = Decision.create(
        number=last.number + 1 if last else 1,
        previous=last.checksum if last else None,
        champion=last.state.champion if last else None,
        **fields,
    )
    key = layout.decision_key(lineage.pipeline, decision.number)
    if not create(lineage.store, lineage.fence, key, decision.to_json()):
        lineage.check_fence()
        raise RefConflict(
            f"{lineage.store.uri}/{key}: another process added a decision at the same time.\nRun this again"
        )
    if index is None:
        index = index_of([] if last is None else list(newest_first(lineage))[:0:-1])
    # It needs no claim: every writer computes the same index from the records.
    key = layout.decision_index_key(lineage.pipeline)
    lineage.store.put(key, index_of([decision], index).to_json())
    return decision


def settle(lineage: Lineage) -> DecisionState:
    """Let the refs `champion` and `proposed` show what was decided; a decision that was interrupted is completed.

    Raises:
        StorageError: a ref cannot be moved.
    """
    state = decision_state(lineage)
    for name, wanted in behind(lineage, state).items():
        if lineage.exists(wanted):
            lineage.point(name, wanted)
    return state


def behind(lineage: Lineage, state: DecisionState) -> dict[str, str]:
    """The refs that do not show what was decided, and the commits that they should stand for. Raises StorageError."""
    found: dict[str, str] = {}
    # Without a proposal the ref stands for the champion: a ref is never removed.
    for name, wanted in ((CHAMPION, state.champion), (PROPOSED, state.proposed or state.champion)):
        ref = lineage.ref(name) if wanted is not None else None
        missing = name == PROPOSED and state.proposed is None and ref is None
        if wanted is not None and not missing and (ref is None or ref.commit != wanted):
            found[name] = wanted
    return found


def champion_before(lineage: Lineage, state: DecisionState) -> str | None:
    """The newest earlier champion that is not bad and still has its model; None: there is none."""
    for decision in newest_first(lineage):
        earlier = decision.champion
        if earlier is None or earlier == state.champion or earlier in state.bad:
            continue
        commit = lineage.read_if_there(earlier)
        if commit is not None and not commit.thinned:
            return earlier
    return None


def tainted(lineage: Lineage, commit: str, bad: tuple[str, ...]) -> str | None:
    """The id of the newest bad commit among a commit and its ancestors; None: there is none."""
    if not bad:
        return None
    return next((one.id for one in reversed(ancestry(lineage, commit)) if one.id in bad), None)


def _follows(earlier: Decision, later: Decision) -> bool:
    return later.number == earlier.number + 1 and later.previous == earlier.checksum


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:400]
