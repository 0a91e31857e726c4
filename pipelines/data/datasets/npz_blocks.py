"""Numpy archives by blocks: runs of rows, read from where they lie in a file that is not compressed."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_cache import opened
from pipelines.data.blocks.block_reader import Extents, Survey, found_labels
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.missing_name import missing_name
from pipelines.data.datasets.npz_reader import UNREADABLE, NpzReader, array_header, data_offset
from pipelines.data.datasets.tables import Table
from strategies.objectives.objective import TargetKind

BLOCK_BYTES = 2**22
"""Of inputs in a block. It decides the order in which samples are learned, and so never changes."""


@dataclass(frozen=True)
class _Stored:
    """An array in a file.

    Attributes:
        offset: where its first row lies.
        rows, shape, dtype: how many there are, and what each is.
    """

    offset: int
    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def bytes(self, raw: BinaryIO, start: int, stop: int) -> bytes:
        """Those of some rows. Raises OSError: the file ends before."""
        raw.seek(self.offset + start * self.row_bytes)
        data = raw.read((stop - start) * self.row_bytes)
        if len(data) != (stop - start) * self.row_bytes:
            raise OSError("the file ends before its last row")
        return data

    def read(self, raw: BinaryIO, start: int, stop: int) -> NDArray[Any]:
        """Some rows, in memory that must not be written to."""
        return np.frombuffer(self.bytes(raw, start, stop), dtype=self.dtype).reshape(stop - start, *self.shape)


@dataclass(frozen=True)
class NpzBlocks(NpzReader):
    """The reader (see `pipelines.data.blocks.block_reader.BlockReader`).

    Attributes:
        block_bytes: of the inputs of a block, at the most, unless one is larger.
        kind: what labels are read as.
    """

    block_bytes: int = BLOCK_BYTES
    kind: TargetKind = "classes"

    def describe(self) -> dict[str, Any]:
        names = {"inputs": self.inputs, "label": self.label, "id": self.id}
        targets = {} if self.kind == "classes" else {"targets": self.kind}
        return {"format": "npz", **names, "block": self.block_bytes, **targets}

    def survey(self, location: Location) -> Survey:
        arrays = self._arrays(location)
        labels = arrays["label"]
        with opened(location) as raw:
            edges = self._edges(arrays)
            found = [found_labels(labels.read(raw, a, b), self.kind) for a, b in pairwise(edges)]
        return Survey.of(np.diff(edges).tolist(), found)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        arrays = self._arrays(location)
        edges = self._edges(arrays)
        found = []
        with opened(location) as raw:
            for number in numbers:
                start, stop = edges[number], edges[number + 1]
                digest = hashlib.blake2b(f"npz 1 {stop - start}".encode(), digest_size=16)
                for key, array in arrays.items():
                    digest.update(f"|{key} {array.dtype.str} {array.shape}|".encode())
                    digest.update(array.bytes(raw, start, stop))
                found.append(digest.digest())
        return found

    def read_block(
        self,
        location: Location,
        number: int,
        state: FileState,
        rows: int,
        *,
        inputs: bool = True,
        extents: Extents | None = None,
    ) -> Iterator[Table]:
        arrays = _arrays(self, location, state)
        edges = self._edges(arrays)
        with opened(location) as raw:
            for start in range(edges[number], edges[number + 1], rows):
                stop = min(start + rows, edges[number + 1])
                made = {key: array.read(raw, start, stop) for key, array in arrays.items() if inputs or key != "inputs"}
                yield Table(made.get("inputs", np.empty((stop - start, 0))), made["label"], made.get("id"))

    def _edges(self, arrays: dict[str, _Stored]) -> list[int]:
        """Where the blocks begin and end."""
        inputs = arrays["inputs"]
        size = max(1, self.block_bytes // max(1, inputs.row_bytes))
        return [*range(0, inputs.rows, size), inputs.rows]

    def _arrays(self, location: Location) -> dict[str, _Stored]:
        (state,) = states([location])
        return _arrays(self, location, state)


@lru_cache(maxsize=64)
def _arrays(reader: NpzBlocks, location: Location, state: FileState) -> dict[str, _Stored]:
    """The arrays of a file; `state` makes a file that was written again another one.

    Raises:
        DataError: it is no archive of arrays that can be read row by row.
    """
    names = {"inputs": reader.inputs, "label": reader.label} | ({} if reader.id is None else {"id": reader.id})
    with opened(location) as raw:
        try:
            with zipfile.ZipFile(raw) as archive:
                there = [name.removesuffix(".npy") for name in archive.namelist()]
                if f"{reader.inputs}_train" in there and reader.inputs not in there:
                    raise DataError(
                        f"{location.path}: in lanes training and test rows have files of their own: write the arrays "
                        f"{reader.inputs}_test and {reader.label}_test into another one, and name it in dataset.test"
                    )
                for key, name in names.items():
                    if name not in there:
                        raise DataError(missing_name(location.path, "array", name, there, key))
                found = {key: _stored(raw, archive.getinfo(f"{name}.npy"), location) for key, name in names.items()}
        except UNREADABLE as error:
            raise DataError(f"{location.path}: not a readable npz file: {error}") from error
    rows = {array.rows for array in found.values()}
    if len(rows) > 1:
        lengths = ", ".join(f"{names[key]} {array.rows:,}" for key, array in found.items())
        raise DataError(f"{location.path}: its arrays differ in length: {lengths}")
    return found


def _stored(raw: BinaryIO, entry: zipfile.ZipInfo, location: Location) -> _Stored:
    name = entry.filename.removesuffix(".npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise DataError(
            f"{location.path}: '{name}' is compressed, and in lanes rows are read from where they lie: save the file "
            "with numpy.savez instead of savez_compressed"
        )
    raw.seek(data_offset(raw, entry))
    shape, fortran, dtype = array_header(raw)
    if dtype.hasobject or not shape or (fortran and len(shape) > 1):
        reason = "holds Python objects" if dtype.hasobject else "has no rows" if not shape else "lies column by column"
        raise DataError(
            f"{location.path}: '{name}' {reason}: save numpy.ascontiguousarray({name}), of plain numbers or text"
        )
    return _Stored(raw.tell(), shape[0], shape[1:], dtype)
