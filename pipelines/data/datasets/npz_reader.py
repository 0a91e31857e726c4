"""Reading numpy archives (.npz)."""

from __future__ import annotations

import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.missing_name import missing_name
from pipelines.data.datasets.tables import Table

_ENCRYPTED, _LOCAL_HEADER = 1, 30
# RuntimeError: an encrypted file; its subclass NotImplementedError: a compression that this Python does not support.
# TokenError: a header that numpy tries to read as one of Python 2.
UNREADABLE: tuple[type[Exception], ...] = (
    ArithmeticError, EOFError, KeyError, MemoryError, OSError, RuntimeError, SyntaxError, ValueError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


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
            shape, fortran, dtype = array_header(stored)
            if dtype.hasobject:
                kind = "int64" if key == "inputs" else "str"
                raise DataError(
                    f"{location.path}: '{name}' holds Python objects, which are not read because they could run code. "
                    f"Save it as plain {'numbers' if key == 'inputs' else 'text or numbers'}: {name}.astype({kind})"
                )
        entry = archive.zip.getinfo(f"{name}.npy")
        if entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & _ENCRYPTED and not fortran:
            return _stored(archive.zip.fp, entry, shape, dtype)
        array: NDArray[Any] = archive[name]
        return array

    @contextmanager
    def _opened(self, location: Location) -> Iterator[Any]:
        with location.open_plain() as file:
            try:
                archive = np.load(file, allow_pickle=False)
                if not isinstance(archive, np.lib.npyio.NpzFile):
                    raise DataError(f"{location.path}: holds one array without a name; save it with numpy.savez")
                with archive:
                    yield archive
            except UNREADABLE as error:
                # numpy takes all that is no archive for a pickle.
                reason = "it is no archive of numpy.savez" if "pickled" in str(error) else error
                raise DataError(f"{location.path}: not a readable npz file: {reason}") from error


def _stored(raw: BinaryIO, entry: zipfile.ZipInfo, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that is not compressed, in one piece: numpy reads it in pieces, each of which is copied three times."""
    raw.seek(data_offset(raw, entry))
    begin = raw.tell()
    array_header(raw)
    size = raw.tell() - begin
    raw.seek(begin)
    checksum = zlib.crc32(raw.read(size))
    if size + math.prod(shape) * dtype.itemsize != entry.file_size:
        raise EOFError(f"'{entry.filename}' has not as many bytes as its header says")
    array = np.empty(shape, dtype)
    content = array.reshape(-1).view(np.uint8).data
    if raw.readinto(content) != len(content):  # type: ignore[attr-defined]
        raise EOFError(f"'{entry.filename}' has not as many bytes as its header says")
    if zlib.crc32(content, checksum) != entry.CRC:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file {entry.filename!r}")
    return array


def data_offset(raw: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an entry lie in an archive. Raises zipfile.BadZipFile: there is no entry."""
    raw.seek(entry.header_offset)
    header = raw.read(_LOCAL_HEADER)
    if len(header) != _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile(f"Bad magic number for file header of {entry.filename!r}")
    lengths = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return entry.header_offset + _LOCAL_HEADER + sum(lengths)


def array_header(stored: Any) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, whether it lies column by column, and dtype of an array, from where its bytes begin in a file."""
    version = np.lib.format.read_magic(stored)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stored)
    return shape, fortran, dtype


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
