"""numpy archives (.npz)."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table, TableFiles
from pipelines.data.detect_columns import npz_columns

INIT_FORMAT = FileFormat((".npz",), npz_columns)

# RuntimeError: an encrypted file; its subclass NotImplementedError: a compression that this Python does not support.
_UNREADABLE = (ArithmeticError, EOFError, KeyError, MemoryError, OSError, RuntimeError, SyntaxError, ValueError)


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
                parts = [self._array(archive, location, self.label + part) for part in ("_train", "_test")]
                return np.concatenate(parts)
            return self._array(archive, location, self.label)

    def _table(self, archive: Any, location: Location, part: str) -> Table:
        ids = None if self.id is None else self._array(archive, location, self.id + part)
        inputs, labels = (self._array(archive, location, name + part) for name in (self.inputs, self.label))
        return Table(inputs, labels, ids)

    def _array(self, archive: Any, location: Location, name: str) -> NDArray[Any]:
        if name not in archive:
            raise DataError(f"{location.path}: has no array '{name}'; it has {', '.join(archive.files) or 'none'}")
        needed = archive.zip.getinfo(f"{name}.npy").file_size
        if needed > memory():
            raise DataError(
                f"{location.path}: '{name}' would unpack to {needed >> 20} MiB, more than this machine's memory"
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
            except (*_UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
                raise DataError(f"{location.path}: not a readable npz file: {error}") from error


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def load(
    path: str,
    *,
    test: str | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str = "x",
    label: str = "y",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    shape: Sequence[Annotated[int, Field(ge=1)]] | None = None,
) -> Dataset | ExperienceDataset:
    """numpy archives, local or s3://: a file that is split by class, or a folder with one file per experience.

    Args:
        path: a .npz file, or a folder of them, one for each experience, in the order of their names.
        test: the test rows: a file, or a folder with files of the same names. Without it, arrays whose names end in
            _train and _test are used if there are any, else a fixed part of each class is held out for testing.
        test_fraction: share of each class that is held out for testing.
        inputs: name of the array of inputs (n, *shape); in a file of images (n, channels, height, width).
        label: name of the array of labels (n,).
        id: name of the array of ids (n,), whole numbers or text; by default row numbers are the ids.
        classes: number of classes, or the labels in the order of the classes; by default found from all labels. Set it
            where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
    """
    reader = NpzReader(inputs, label, id)
    where = None if test is None else Location.of(test)
    options = TableFiles(
        reader, Location.of(path), where, test_fraction, classes, None if shape is None else tuple(shape)
    )
    return options.load("npz")
