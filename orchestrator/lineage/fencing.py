"""Fencing: who has lost a claim writes nothing any more, however late it wakes up.

Workers outlive a driver that was killed, a laptop that slept goes on where it was, a request hangs. A store has no
transaction over several keys, so that looking at the claim and writing cannot be one step. It takes three, all of them
conditional writes of the one key that is to appear:

1. announce: a short note, with the token of the writer's claim, is put where the object will be;
2. check: the claim is read, and still has this token;
3. fill: the object takes the place of this very note by compare-and-swap.

Who takes a claim over changes its token first, and then puts a void note in the place of every note whose token is no
living claim's, by compare-and-swap, too. A writer that checked before that has announced before that: either it has
filled its key already, and whoever took over finds the object there like any other, or its note is void and filling
fails. A writer that checks later sees another token. Both stop with ClaimLost. Refs get another generation at a
takeover, so that a move that was under way fails.

A note stands for nothing: readers take its key for absent, and the next writer writes over it. Announced are commits,
new refs, shards of memories (which hold samples) and checkpoints; other blobs hold no samples, and are of no effect
without their commit. What `gc` and `forget` replace and delete is checked before each request: of one of them that was
stopped while a request was on its way, this request is still carried out.

No clock is compared with another, so that setting one changes nothing.
"""

from __future__ import annotations

import json
import random
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
ATTEMPTS = 12
_VOID = "0" * 32
_NOTE = re.compile(rb'\{"everlearn":"unfinished write","token":"([0-9a-f]{32})","nonce":"[0-9a-f]{32}"\}\n')
NOTE_BYTES = 119
"""The size of a note. No commit is so small; a blob may be."""


@dataclass(frozen=True)
class Fence:
    """The right to write into a pipeline: that the claim under `key` still has `token`. Sent along to workers."""

    key: str
    token: str

    def check(self, store: Store) -> None:
        """Raise ClaimLost when another has taken the claim over, or it was given back."""
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
    """Whether this is no object but the note of an unfinished write."""
    return len(data) == NOTE_BYTES and _NOTE.fullmatch(data) is not None


class Announced:
    """Objects that are announced, to be filled after one check.

    Attributes:
        there: keys under which the object is in the store already: it stays as it is.
    """

    def __init__(self, store: Store, fence: Fence, objects: Mapping[str, bytes], keep: Collection[str] = ()) -> None:
        """Announce `objects`, by key.

        Args:
            keep: keys under which something else is not replaced either.

        Raises:
            ClaimLost: nothing was announced.
            StorageError: the storage cannot be used, or others keep writing the same keys.
        """
        self._store, self._fence, self._objects, self._keep = store, fence, objects, keep
        self._versions: dict[str, str] = {}
        self.there: set[str] = set()
        fence.check(store)
        in_parallel(self._announce, sorted(objects), PARALLEL)

    def check(self) -> None:
        """What is announced may be filled. Raises ClaimLost."""
        self._fence.check(self._store)

    def fill(self, key: str) -> bool:
        """Put an object where it was announced; False: another writer, or whoever took over, was faster."""
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
                # A writer that has lost its claim must not put a note over what another has written since.
                self.there.add(key)
                return
            version = found[1] if found else None
            time.sleep(_pause(attempt))
        raise _contended(self._store, key)


def write_fenced(store: Store, fence: Fence, key: str, data: bytes) -> None:
    """Write an object whose key says what it holds, whatever is there.

    Raises:
        ClaimLost: it is not written, and never will be.
        StorageError: the storage cannot be used.
    """
    for attempt in range(ATTEMPTS):
        announced = Announced(store, fence, {key: data})
        announced.check()
        if announced.fill(key):
            return
        time.sleep(_pause(attempt))
    raise _contended(store, key)


def create(store: Store, fence: Fence | None, key: str, data: bytes) -> bool:
    """Write an object if there is none; False: there is one, or another writer was faster.

    Raises:
        ClaimLost: as `write_fenced`. Without a fence nobody is asked.
    """
    if fence is not None:
        announced = Announced(store, fence, {key: data}, keep=[key])
        announced.check()
        return key not in announced.there and announced.fill(key)
    if store.put_if_absent(key, data):
        return True
    found = store.read_versioned(key)
    return found is not None and is_note(found[0]) and store.compare_and_swap(key, data, found[1])


def fence_out(store: Store, pipeline: str, *, moved: bool) -> None:
    """Void the notes of all whose claim is not alive any more. Call it after their claim has another token.

    Args:
        moved: a claim was taken over that was not given back: refs get another generation, too.

    Raises:
        StorageError: the storage cannot be used.
    """
    claims, refs = layout.claims_prefix(pipeline), layout.refs_prefix(pipeline)
    entries = list(store.entries(f"{layout.checked_pipeline(pipeline)}/"))
    alive = {_holder(store, entry.key).token for entry in entries if entry.key.startswith(claims)}
    small = [entry.key for entry in entries if entry.bytes == NOTE_BYTES]
    in_parallel(lambda key: _void(store, key, alive), small, PARALLEL)
    for key in [entry.key for entry in entries if entry.key.startswith(refs)] if moved else ():
        found = store.read_versioned(key)
        if found is None:
            continue
        try:
            document = parse_json(found[0])
            data = canonical_json({**document, "generation": document["generation"] + 1})
        except (KeyError, TypeError, ValueError):
            continue  # damaged: whoever needs it says so
        store.compare_and_swap(key, data, found[1])


def _pause(attempt: int) -> float:
    """Seconds after a lost race: none at first."""
    return random.uniform(0, 0.01 * 2 ** min(attempt, 7)) if attempt else 0.0


def _contended(store: Store, key: str) -> StorageError:
    return StorageError(f"{store.uri}/{key}: cannot write: others keep writing it. Run again later")


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
