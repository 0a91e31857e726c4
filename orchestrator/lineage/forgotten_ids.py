"""Tombstones: salted hashes of the samples that `everlearn forget` removed and that no memory may hold again."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import CorruptCommit, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.fencing import is_note, replace
from strategies.api.data import in_blocks

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from strategies.api.data import Experience
    from strategies.loop.learner import Learner

_SALT_BYTES = 16
_HASH_BYTES = 16
_ATTEMPTS = 20


@dataclass(frozen=True)
class Tombstones:
    """Salted hashes of sample ids, for the whole pipeline. They do not show the ids; ids that can be guessed, such as
    row numbers, can be tried.

    Attributes:
        salt: random, made with the first of them.
        hashes: hexadecimal BLAKE2b of the ids (int64, little endian), keyed with the salt.
    """

    salt: bytes = b""
    hashes: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def among(self, ids: Iterable[int]) -> list[int]:
        """Those of `ids` that are to be forgotten."""
        return [i for i in ids if self._hash(i) in self.hashes] if self.hashes else []

    def joined(self, ids: Iterable[int]) -> Tombstones:
        """These, and those of `ids`."""
        salted = self if self.salt else Tombstones(secrets.token_bytes(_SALT_BYTES))
        return Tombstones(salted.salt, self.hashes | {salted._hash(i) for i in ids})

    def to_json(self) -> bytes:
        return _Document(salt=self.salt.hex(), hashes=sorted(self.hashes)).model_dump_json().encode("ascii")

    def _hash(self, id_: int) -> str:
        data = id_.to_bytes(8, "little", signed=True)
        return hashlib.blake2b(data, digest_size=_HASH_BYTES, key=self.salt).hexdigest()


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[1] = 1
    salt: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * _SALT_BYTES}}}$")]
    hashes: list[Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * _HASH_BYTES}}}$")]]


def read_tombstones(lineage: Lineage) -> Tombstones:
    """What the pipeline has to forget. Raises CorruptCommit when the record of it is damaged."""
    return _read(lineage)[0]


def add_tombstones(lineage: Lineage, ids: Iterable[int]) -> Tombstones:
    """Let the pipeline forget `ids` as well: all that it has to forget.

    Args:
        lineage: under the claim of `forget`.

    Raises:
        ClaimLost: the claim was taken over; nothing was added.
        StorageError: the storage cannot be used.
    """
    ids = list(ids)
    for _ in range(_ATTEMPTS):
        known, version = _read(lineage)
        wanted = known.joined(ids)
        if wanted.hashes == known.hashes:
            return known
        if replace(lineage.store, lineage.fence, layout.tombstones_key(lineage.pipeline), wanted.to_json(), version):
            return wanted
    raise _contended(lineage)


def copy_tombstones(source: Lineage, target: Lineage) -> None:
    """Let the destination of a copy forget what the source has to forget.

    Args:
        target: under the claim of the copy.

    Raises:
        ClaimLost: the claim was taken over.
        StorageError: samples were forgotten at the destination that the source still has; nothing was written.
    """
    ours = read_tombstones(source)
    for _ in range(_ATTEMPTS):
        theirs, version = _read(target)
        if theirs and (theirs.salt != ours.salt or not theirs.hashes <= ours.hashes):
            raise StorageError(
                f"pipeline {source.pipeline}: samples were forgotten in {target.store.uri} that "
                f"{source.store.uri} may still hold: nothing was copied.\n"
                "Run everlearn forget there with the same ids, and copy into an empty place"
            )
        if not ours or ours == theirs:
            return
        key = layout.tombstones_key(target.pipeline)
        if replace(target.store, target.fence, key, ours.to_json(), version):
            return
    raise _contended(target)


def parse_tombstones(data: bytes, source: str) -> Tombstones:
    """What `Tombstones.to_json` wrote. Raises CorruptCommit when it is not."""
    try:
        document = _Document.model_validate_json(data)
    except ValidationError:
        raise CorruptCommit(
            f"{source}: damaged: it says which samples were forgotten.\nRestore it from a copy of the storage"
        ) from None
    return Tombstones(bytes.fromhex(document.salt), frozenset(document.hashes))


def bury(learner: Learner, tombstones: Tombstones, experience: Experience) -> None:
    """Keep the experience's forgotten samples out of the learner's memories."""
    memories = learner.memories().values()
    if tombstones and memories:
        samples = experience.train
        parts = (ids for ids, _ in samples.labelled()) if in_blocks(samples) else [samples.ids]
        found = [i for ids in parts for i in tombstones.among(ids.tolist())]
        for memory in memories:
            memory.forget(found)


def _read(lineage: Lineage) -> tuple[Tombstones, str | None]:
    key = layout.tombstones_key(lineage.pipeline)
    found = lineage.store.read_versioned(key)
    if found is None or is_note(found[0]):
        return Tombstones(), None
    data, version = found
    return parse_tombstones(data, f"{lineage.store.uri}/{key}"), version


def _contended(lineage: Lineage) -> StorageError:
    return StorageError(
        f"{lineage.store.uri}: other processes keep changing the list of forgotten ids of pipeline {lineage.pipeline}"
    )
