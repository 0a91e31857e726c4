"""The memory in which batches are put together: rows are written to their places in batches that are still to come."""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.blocks.block_rows import Rows

_REGION_BITS = 40
_REGION = 1 << _REGION_BITS
"""A place is the number of a region times so many, and the row in it."""


class Places(Protocol):
    """What rows are written to."""

    def put(self, where: NDArray[np.int64], rows: Rows, at: slice) -> None:
        """Write the rows `at` of others to the places `where`."""
        ...


@dataclass(eq=False)
class Stretch:
    """Memory for some batches, one behind the other.

    Attributes:
        rows: the memory.
        first: the place of its first row.
    """

    rows: Rows
    first: int
    _parts: list[_Part]
    _bare: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bare = self._references()

    @property
    def held(self) -> bool:
        """Whether somebody has a batch of it, or a view of one."""
        return self._references() != self._bare

    def _references(self) -> list[int]:
        return [sys.getrefcount(part.owner) for part in self._parts]

    def release(self) -> None:
        """Give the memory back to the system; it is there again, with other content, when it is written to."""
        for part in self._parts:
            part.release()


class BatchMemory:
    """Stretches of memory of equal size, which are used again when nobody has a batch in them any more.

    All lie in one region, so that rows for many batches are written at once. Stretches that are larger, or of which
    there are more than planned, are regions of their own, and are not used again.
    """

    def __init__(self, kind: Rows, stretches: int, rows: int) -> None:
        """
        Args:
            kind: no rows, of the shapes and dtypes that are meant.
            stretches: that there are.
            rows: of each, at least 1.
        """
        self._kind, self._size = kind, rows
        self._regions: dict[int, Rows] = {}
        self._made = 0
        self._planned = self._region(stretches, rows)
        self._free = list(self._planned)

    @property
    def free(self) -> int:
        """How many stretches are free."""
        return sum(not one.held for one in self._free)

    def take(self, rows: int) -> Stretch:
        """Memory for so many rows."""
        if rows <= self._size:
            for number in reversed(range(len(self._free))):
                if not self._free[number].held:
                    return self._free.pop(number)
        (one,) = self._region(1, max(1, rows))
        return one

    def give_back(self, stretch: Stretch) -> None:
        """What was taken is needed no longer, but by those who have batches of it."""
        number = stretch.first >> _REGION_BITS
        if number:
            del self._regions[number]
        else:
            self._free.append(stretch)

    def put(self, where: NDArray[np.int64], rows: Rows, at: slice) -> None:
        """As `Rows.put`; rows whose place is -1 are left out."""
        if not len(where):
            return
        if where.min() >= 0 and where.max() < _REGION:
            self._regions[0].put(where, rows, at)
            return
        chosen, numbers = Rows(*(one[at] for one in rows)), where >> _REGION_BITS
        for number in np.unique(numbers[where >= 0]).tolist():
            here = np.flatnonzero(numbers == number)
            self._regions[number].put(where[here] & (_REGION - 1), chosen, here)

    def close(self) -> None:
        """Whoever keeps a batch keeps no more memory than that of its stretch."""
        for stretch in self._planned:
            if not stretch.held:
                stretch.release()

    def _region(self, stretches: int, rows: int) -> list[Stretch]:
        number, self._made = self._made, self._made + 1
        memory = [_Memory(one, stretches * rows) for one in self._kind]
        self._regions[number] = Rows(*(one.whole for one in memory))
        made = []
        for first in range(0, stretches * rows, rows):
            parts = [_Part(one, first, rows) for one in memory]
            made.append(Stretch(Rows(*(part.array() for part in parts)), (number << _REGION_BITS) + first, parts))
        return made


class _Memory:
    """Memory of one of `Rows`, from the system: pages that nothing is written to cost nothing."""

    def __init__(self, kind: NDArray[Any], rows: int) -> None:
        self.kind, self.row_bytes = kind, int(np.prod(kind.shape[1:], dtype=np.int64)) * kind.itemsize
        self.raw = mmap.mmap(-1, max(1, rows * self.row_bytes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.whole = _Part(self, 0, rows).array()


class _Part:
    """Some rows of it.

    Attributes:
        owner: the array that all views of these rows refer to.
    """

    def __init__(self, memory: _Memory, first: int, rows: int) -> None:
        self._memory, self._rows = memory, rows
        self._start, self._stop = first * memory.row_bytes, (first + rows) * memory.row_bytes
        count = (self._stop - self._start) // memory.kind.itemsize
        self.owner: NDArray[Any] = np.frombuffer(memory.raw, memory.kind.dtype, count, self._start)

    def array(self) -> NDArray[Any]:
        return self.owner.reshape(self._rows, *self._memory.kind.shape[1:])

    def release(self) -> None:
        start, stop = -(-self._start // mmap.PAGESIZE) * mmap.PAGESIZE, self._stop // mmap.PAGESIZE * mmap.PAGESIZE
        if stop > start and hasattr(mmap, "MADV_DONTNEED"):
            self._memory.raw.madvise(mmap.MADV_DONTNEED, start, stop - start)
