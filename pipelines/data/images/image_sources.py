"""Where the bytes of images are: in files of their own, or in a column of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import FileState, Location, states


@dataclass(frozen=True)
class ImageSource:
    """One image before it is decoded.

    Attributes:
        name: where it is, for messages.
        version: changes when the image does.
        location: its file; None: `data` has its bytes.
        data: its bytes, unless it is a file.
    """

    name: str
    version: str
    location: Location | None = None
    data: bytes = b""

    def read(self) -> bytes:
        """Its bytes, undecoded.

        Raises:
            DataError: the file cannot be read.
        """
        if self.location is None:
            return self.data
        try:
            with self.location.open() as file:
                return file.read()
        except DataError as error:
            raise error if self.name == self.location.path else DataError(f"{self.name}: {error}") from error


def file_source(location: Location, state: FileState, name: str | None = None) -> ImageSource:
    """An image in a file of its own.

    Args:
        state: what the file is now.
        name: for messages; None: the path.
    """
    version = f"{state.bytes} {state.modified}"
    if not location.remote:
        # Also changes where a file is replaced by one of the same size and time, as cp -p does.
        version += f" {Path(location.path).stat().st_ctime_ns}"
    return ImageSource(name or location.path, f"{location.path} {version}", location)


def column_sources(column: Any, name: str, where: str, folder: Location, first_row: int = 0) -> Iterator[ImageSource]:
    """The images of a column: paths, bytes, or {bytes, path} as Hugging Face has them.

    Args:
        column: of arrow.
        name: of the column.
        where: the table, for messages.
        folder: where paths begin.
        first_row: number of the column's first row in the table.

    Raises:
        DataError: a value that is no image, or a file that is not there; the message names the row.
    """
    found = present_sources(column, name, where, folder, first_row, missing=False)
    yield from (found[row] for row in sorted(found))


def present_sources(
    column: Any, name: str, where: str, folder: Location, first_row: int = 0, *, missing: bool = True
) -> dict[int, ImageSource]:
    """The images of a column by their row, as `column_sources`; rows without a value have none.

    Args:
        missing: whether there may be rows without a value.

    Raises:
        DataError: as `column_sources`.
    """
    paths: list[tuple[int, str, Location]] = []
    found: dict[int, ImageSource] = {}
    for row, value in enumerate(column.to_pylist()):
        place = f"{where}: column '{name}', row {first_row + row}"
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            digest = hashlib.blake2b(value, digest_size=16).hexdigest()
            found[row] = ImageSource(place, digest, data=value)
        elif value is None and missing:
            continue
        elif isinstance(value, str) and value:
            paths.append((row, f"{place}: {value}", folder.joined(value)))
        else:
            raise DataError(f"{place}: has no image, but {value!r}: give a path, or the bytes of a PNG or JPEG file")
    for (row, place, location), state in zip(paths, _states(paths), strict=True):
        found[row] = file_source(location, state, place)
    return found


def _states(paths: Sequence[tuple[int, str, Location]]) -> list[FileState]:
    try:
        return states([location for _, _, location in paths])
    except DataError:
        for _, where, location in paths:
            try:
                states([location])
            except DataError as error:
                raise DataError(f"{where}: there is no such file. Paths begin at the folder of the table") from error
        raise
