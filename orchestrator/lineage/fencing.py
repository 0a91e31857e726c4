"""Fencing: a process that has lost its claim cannot write any more, however late it continues.

Workers may outlive a driver that was killed, a laptop may wake from sleep in the middle of a run, and a request may
hang. A store has no transaction over several keys, so that reading the claim and writing an object cannot be one step.
A fenced write takes three steps:

1. announce: a short note with the token of the writer's claim is written under the key of the object;
2. check: the claim is read, and must still have this token;
3. fill: the object replaces exactly this note by compare-and-swap.

A process that takes a claim over first changes the claim's token. Then it replaces every note whose token belongs to no
living claim by a void note, by compare-and-swap as well. A writer that checked before the takeover also announced
before it: either it has filled its key already, and the object counts, or its note is void and filling fails. A writer
that checks after the takeover sees another token. Both stop with ClaimLost. The takeover also raises the generation of
each ref, so that a move of a ref that was under way fails. Some objects are replaced in place, by compare-and-swap
after a check of the claim: by `gc`, `forget` and `copy` commits, the list of forgotten ids and the note of what
`forget` still owes; by a search the records of its trials. Who takes a claim over from one of these adds a line break
to the end of each such object, so that a replacement that was under way fails, too. (A run may add scores to commits.
It changes nothing else of them, and a late addition does no harm: it fails where the commit was changed or removed.)

Readers treat a note as an absent object, and the next writer replaces it. New objects are announced: commits, refs,
the list of forgotten ids, records of trials, checkpoints, and shards of memories, which hold samples. Other blobs hold
no samples and have no effect without their commit. The index of blocks (`blocks.json`) is no more than a copy of what
the data say, and is not fenced.

Stores have no conditional deletion: `gc`, `forget`, and runs that remove their checkpoints check the claim before each
deletion, and if one of them is stopped after a check, the objects that it was about to delete then, at most eight, may
still be deleted. Only if a process that took over needs one of these again, which was garbage, is something lost:
`fsck` shows it, and `fsck --repair` and the next run make it again.

Clocks of two machines are never compared.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.errors import ClaimLost, MissingKey, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.canonical_json import canonical_json, parse_json
from orchestrator.lineage.claim_holder import Holder
from orchestrator.storage.parallel_requests import in_parallel

if TYPE_CHECKING:
    from orchestrator.storage.store import Store

PARALLEL = 8
CARE, SEARCH = "care", "search-"
"""The slot of the claims of `gc`, `forget` and `copy`, and how those of searches begin."""
ATTEMPTS = 12
_JITTER = secrets.SystemRandom()
_VOID = "0" * 32
_NOTE = re.compile(rb'\{"everlearn":"unfinished write","token":"([0-9a-f]{32})","nonce":"[0-9a-f]{32}"\}\n')
NOTE_BYTES = 119
"""The size of a note. No commit is so small; a blob may be."""


@dataclass(frozen=True)
class Fence:
    """Permission to write into a pipeline as long as the claim under `key` has `token`. It is sent to the workers."""

    key: str
    token: str

    def check(self, store: Store) -> None:
        """Raise ClaimLost when another process has taken the claim over, or the claim was released."""
        try:
            found = Holder.parse(store.get(self.key), f"{store.uri}/{self.key}")
        except MissingKey:
            found = Holder()
        if found.token != self.token:
            other = f": {found} took over" if found.token else ""
            raise ClaimLost(
                f"{store.uri}/{self.key}: this process has lost its claim{other}. It stops, and what it had not "
                "committed is not written.\nRun again: what was committed is reused"
            )


def is_note(data: bytes) -> bool:
    """Whether these bytes are the note of an unfinished write instead of an object."""
    return len(data) == NOTE_BYTES and _NOTE.fullmatch(data) is not None


class Announced:
    """Objects that are announced, to be filled after one check.

    Attributes:
        there: keys whose object is in the store already and is kept.
    """

    def __init__(self, store: Store, fence: Fence, objects: Mapping[str, bytes], keep: Collection[str] = ()) -> None:
        """Announce `objects`, by key.

        Args:
            keep: keys whose object is kept even if it differs.

        Raises:
            ClaimLost: nothing was announced.
            StorageError: the storage cannot be used, or other writers keep writing the same keys.
        """
        self._store, self._fence, self._objects, self._keep = store, fence, objects, keep
        self._versions: dict[str, str] = {}
        self.there: set[str] = set()
        fence.check(store)
        in_parallel(self._announce, sorted(objects), PARALLEL)

    def check(self) -> None:
        """Raise ClaimLost unless the announced objects may be filled."""
        self._fence.check(self._store)

    def fill(self, key: str) -> bool:
        """Replace the note of `key` by its object; False: another process has replaced the note."""
        if key in self.there:
            return True
        return self._store.compare_and_swap(key, self._objects[key], self._versions[key])

    def _announce(self, key: str) -> None:
        note, version = _note(self._fence.token), None
        for attempt in range(ATTEMPTS):
            self._store.compare_and_swap(key, note, version)
            found = self._store.read_versioned(key)
            if found is not None and found[0] == note:
                self._versions[key] = found[1]
                return
            if found is not None and (found[0] == self._objects[key] or (key in self._keep and not is_note(found[0]))):
                # The object of another writer must not be replaced by a note: this writer may have lost its claim.
                self.there.add(key)
                return
            version = found[1] if found else None
            time.sleep(_pause(attempt))
        raise _contended(self._store, key)


def write_fenced(store: Store, fence: Fence, key: str, data: bytes) -> None:
    """Write an object whose key determines its content; what is stored under the key is replaced.

    Raises:
        ClaimLost: the object is not written, and never will be.
        StorageError: the storage cannot be used.
    """
    for attempt in range(ATTEMPTS):
        announced = Announced(store, fence, {key: data})
        announced.check()
        if announced.fill(key):
            return
        time.sleep(_pause(attempt))
    raise _contended(store, key)


def replace(store: Store, fence: Fence | None, key: str, data: bytes, version: str | None) -> bool:
    """Replace what a care command changes in place; False: it was changed since it was read. Read it again.

    Args:
        key: of an object that `fence_out` touches.
        version: as it was read; None: there was nothing, or a note.

    Raises:
        ClaimLost: as `write_fenced`; never without a fence.
    """
    if version is None:
        return create(store, fence, key, data)
    if fence is not None:
        fence.check(store)
    return store.compare_and_swap(key, data, version)


def create(store: Store, fence: Fence | None, key: str, data: bytes) -> bool:
    """Write an object if its key is free; False: it is not, or another writer was faster.

    Raises:
        ClaimLost: as `write_fenced`; never without a fence.
    """
    if fence is not None:
        announced = Announced(store, fence, {key: data}, keep=[key])
        announced.check()
        return key not in announced.there and announced.fill(key)
    if store.put_if_absent(key, data):
        return True
    found = store.read_versioned(key)
    return found is not None and is_note(found[0]) and store.compare_and_swap(key, data, found[1])


def fence_out(store: Store, pipeline: str, lost: Collection[str] = ()) -> None:
    """Make void all notes whose claim is not alive any more. Call it after the token of their claim was changed.

    Args:
        lost: the slots of claims that were taken over without having been released: the generation of each ref is
            raised then, and what their holders replace in place is touched.

    Raises:
        StorageError: the storage cannot be used.
    """
    claims, refs = layout.claims_prefix(pipeline), layout.refs_prefix(pipeline)
    entries = list(store.entries(f"{layout.checked_pipeline(pipeline)}/"))
    alive = {_holder(store, entry.key).token for entry in entries if entry.key.startswith(claims)}
    small = [entry.key for entry in entries if entry.bytes == NOTE_BYTES]
    in_parallel(lambda key: _void(store, key, alive), small, PARALLEL)
    for key in [entry.key for entry in entries if entry.key.startswith(refs)] if lost else ():
        found = store.read_versioned(key)
        if found is None:
            continue
        try:
            document = parse_json(found[0])
            data = canonical_json({**document, "generation": document["generation"] + 1})
        except (KeyError, TypeError, ValueError):
            continue  # a damaged ref is reported by its readers
        store.compare_and_swap(key, data, found[1])
    touched: tuple[str, ...] = ()
    if CARE in lost:
        touched += (layout.commits_prefix(pipeline), layout.tombstones_key(pipeline), layout.debt_key(pipeline))
    if any(slot.startswith(SEARCH) for slot in lost):
        touched += (f"{layout.runs_prefix(pipeline)}tune-",)
    in_parallel(lambda key: _touch(store, key), [e.key for e in entries if e.key.startswith(touched)], PARALLEL)


def _touch(store: Store, key: str) -> None:
    """Let a replacement fail that was under way, and leave what the object says as it is."""
    found = store.read_versioned(key)
    if found is not None and not is_note(found[0]):
        # Where this loses the race, the replacement was carried out, and its writer has lost the claim for the next.
        store.compare_and_swap(key, found[0] + b"\n", found[1])


def _pause(attempt: int) -> float:
    """Seconds to wait before the next attempt: none after the first."""
    # Not Python's global random numbers: this may run beside a thread that draws a model's first weights from them.
    return _JITTER.uniform(0, 0.01 * 2 ** min(attempt, 7)) if attempt else 0.0


def _contended(store: Store, key: str) -> StorageError:
    return StorageError(f"{store.uri}/{key}: cannot write: other processes keep writing it. Run again later")


def _void(store: Store, key: str, alive: Collection[str | None]) -> None:
    found = store.read_versioned(key)
    note = _NOTE.fullmatch(found[0]) if found else None
    if found is not None and note is not None and note[1].decode() not in {*alive, _VOID}:
        store.compare_and_swap(key, _note(_VOID), found[1])


def _holder(store: Store, key: str) -> Holder:
    try:
        return Holder.parse(store.get(key), f"{store.uri}/{key}")
    except StorageError:
        return Holder()


def _note(token: str) -> bytes:
    note = {"everlearn": "unfinished write", "token": token, "nonce": secrets.token_hex(16)}
    return json.dumps(note, separators=(",", ":")).encode() + b"\n"
