"""Reading numpy archives (.npz)."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.missing_name import missing_name
from pipelines.data.datasets.tables import Table

# RuntimeError: an encrypted file; its subclass NotImplementedError: a compression that this Python does not support.
UNREADABLE = (ArithmeticError, EOFError, KeyError, MemoryError, OSError, RuntimeError, SyntaxError, ValueError)


@dataclass(frozen=True)
class NpzReader:
    """Arrays by name; names that end in `_train` and `_test` separate training and test rows in one file.

    Attributes:
        inputs, label, id: names of the arrays; without id: None.
    """

    inputs: str
    label: str
    id: str | None
    suffix: str = ".npz"

    def read(self, location: Location) -> tuple[Table, Table | None]:
        with self._opened(location) as archive:
            if f"{self.inputs}_train" in archive and self.inputs not in archive:
                return self._table(archive, location, "_train"), self._table(archive, location, "_test")
            return self._table(archive, location, ""), None

    def labels(self, location: Location) -> NDArray[Any]:
        with self._opened(location) as archive:
            if f"{self.inputs}_train" in archive and self.inputs not in archive:
                parts = [self._array(archive, location, self.label + part, "label") for part in ("_train", "_test")]
                return np.concatenate(parts)
            return self._array(archive, location, self.label, "label")

    def _table(self, archive: Any, location: Location, part: str) -> Table:
        ids = None if self.id is None else self._array(archive, location, self.id + part, "id")
        inputs = self._array(archive, location, self.inputs + part, "inputs")
        labels = self._array(archive, location, self.label + part, "label")
        return Table(inputs, labels, ids)

    def _array(self, archive: Any, location: Location, name: str, key: str) -> NDArray[Any]:
        if name not in archive:
            raise DataError(missing_name(location.path, "array", name, archive.files, key, location.section))
        needed = archive.zip.getinfo(f"{name}.npy").file_size
        if needed > memory():
            raise DataError(
                f"{location.path}: '{name}' would unpack to {needed >> 20} MiB, more than this machine's memory"
            )
        with archive.zip.open(f"{name}.npy") as stored:
            if _holds_objects(stored):
                kind = "int64" if key == "inputs" else "str"
                raise DataError(
                    f"{location.path}: '{name}' holds Python objects, which are not read because they could run code. "
                    f"Save it as plain {'numbers' if key == 'inputs' else 'text or numbers'}: {name}.astype({kind})"
                )
        array: NDArray[Any] = archive[name]
        return array

    @contextmanager
    def _opened(self, location: Location) -> Iterator[Any]:
        with location.open() as file:
            try:
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise DataError(f"{location.path}: holds one array without a name; save it with numpy.savez")
                with archive:
                    yield archive
            except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
                # numpy takes all that is no archive for a pickle.
                reason = "it is no archive of numpy.savez" if "pickled" in str(error) else error
                raise DataError(f"{location.path}: not a readable npz file: {reason}") from error


def _holds_objects(stored: Any) -> bool:
    """Whether an array in a file is one of Python objects, from its header."""
    return bool(array_header(stored)[2].hasobject)


def array_header(stored: Any) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, whether it lies column by column, and dtype of an array, from where its bytes begin in a file."""
    version = np.lib.format.read_magic(stored)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stored)
    return shape, fortran, dtype


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
