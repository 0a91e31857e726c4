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
from pipelines.data.datasets.held_out_part import Test
from pipelines.data.datasets.image_layout import Channels
from pipelines.data.datasets.init_formats import FileFormat
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.missing_name import missing_name
from pipelines.data.datasets.tables import Table, TableFiles
from pipelines.data.detect_columns import npz_columns
from strategies.objectives.objective import TargetKind

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
            raise DataError(missing_name(location.path, "array", name, archive.files, key))
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
            except (*_UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
                raise DataError(f"{location.path}: not a readable npz file: {error}") from error


def _holds_objects(stored: Any) -> bool:
    """Whether an array in a file is one of Python objects, from its header."""
    version = np.lib.format.read_magic(stored)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return bool(read(stored)[2].hasobject)


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def load(
    path: str,
    *,
    test: Test | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    inputs: str = "x",
    label: str = "y",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
    shape: Sequence[Annotated[int, Field(ge=1)]] | None = None,
    channels: Channels = "first",
    target_kind: TargetKind = "classes",
) -> Dataset | ExperienceDataset:
    """numpy archives, local or s3://: a file that is split by class, or a folder with one file per experience.

    Args:
        path: a .npz file, or a folder of them, one for each experience, in the natural order of their names: batch2
            before batch10.
        test: the test rows: a file, or a folder with files of the same names. Without it, arrays whose names end in
            _train and _test are used if there are any, else a fixed part of each class is held out for testing.
            {id_hash: 0.2} holds out this share by a hash of the ids instead: a sample stays on its side when a file
            grows.
        test_fraction: share of each class that is held out for testing.
        inputs: name of the array of inputs (n, *shape); in a file of images (n, channels, height, width).
        label: name of the array of labels (n,); with objective: regression or multi-label also (n, k).
        id: name of the array of ids (n,), whole numbers or text; by default row numbers are the ids.
        classes: number of classes, or the labels in the order of the classes; by default found from all labels. Set it
            where more classes are to come: it decides the size of the model's head.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
        channels: `last`, where images are (height, width, channels); models take them first.
    """
    reader = NpzReader(inputs, label, id)
    files = TableFiles.of(reader, path, test, test_fraction, classes, shape, channels)
    return files.learning(target_kind, (label,)).load("npz")
