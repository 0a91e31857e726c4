"""Files that grow at their end: experiences whose rows were there before keep the hashes by which they are known.

A block has the hash of all its bytes, and the last block of a text file grows with the file, up to its full size. The
rows that it had are the same then, with their numbers and their order, and so is their division into training and test
rows: an experience that got none of the rows that were added to the block is what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from pipelines.data.datasets.location import Location

if TYPE_CHECKING:
    from pipelines.data.blocks.block_index import IndexedFile
    from pipelines.data.blocks.block_reader import Extents


class CarriedHash(NamedTuple):
    """The hash that a block had when it last got rows of a group.

    Attributes:
        block: counts within the file.
        group: as in `Survey.groups`.
        hash: 16 bytes.
    """

    block: int
    group: Any
    hash: bytes


@runtime_checkable
class Growing(Protocol):
    """A `BlockReader` of a format to whose files rows can be appended."""

    def begins_with(self, location: Location, number: int, before: Extents, now: Extents) -> bool:
        """Whether a block begins with the bytes that it had, and their last row ends there.

        Args:
            before: where the blocks were; the bytes that are there now are known to have the same hash.
            now: where they are.
        """
        ...

    def hashes(self, location: Location, numbers: list[int], extents: Extents | None = None) -> list[bytes]: ...


def may_grow(reader: object, file: IndexedFile) -> bool:
    """Whether experiences of a file may be the same after it was written again."""
    return isinstance(reader, Growing) and file.groups is not None and file.hashes is not None


def carried_hashes(reader: Any, old: IndexedFile, new: IndexedFile) -> tuple[CarriedHash, ...]:
    """The hashes by which experiences of a file were known before it was written again, and still are.

    Args:
        old, new: the file with its hashes, as it was and as it is now.

    Raises:
        DataError: it cannot be read.
    """
    assert old.hashes is not None and new.hashes is not None
    before, now, last = old.extents, new.extents, len(old.rows) - 1
    if before is None or now is None or len(new.rows) <= last:
        return ()
    same_columns = getattr(reader, "same_columns", lambda one, other: one.schema == other.schema)
    if not same_columns(before, now):
        return ()

    def same(block: int) -> bool:
        return (old.hashes[block] == new.hashes[block]).all()  # type: ignore[index,no-any-return]

    found = [one for one in old.carried if same(one.block)]
    if last < 0 or same(last) or not reader.begins_with(new.location, last, before, now):
        return tuple(found)
    if reader.hashes(new.location, [last], before) != [old.hashes[last].tobytes()]:
        return tuple(found)
    known = {(one.block, one.group): one.hash for one in old.carried}
    counts, grown = _counts(old, last), _counts(new, last)
    return (*found, *(
        CarriedHash(last, group, known.get((last, group), old.hashes[last].tobytes()))
        for group, rows in counts.items() if grown.get(group) == rows
    ))  # fmt: skip


def _counts(file: IndexedFile, block: int) -> dict[Any, dict[Any, int]]:
    """How many rows of each label each group has in a block."""
    found: dict[Any, dict[Any, int]] = {}
    for group, label, rows in zip(file.groups or (), file.labels, file.counts[block].tolist(), strict=True):
        if rows:
            found.setdefault(group, {})[label] = rows
    return found
