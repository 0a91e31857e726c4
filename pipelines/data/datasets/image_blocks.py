"""Folders of images by blocks: so many files each, in the order that hashes of their paths give."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_reader import Extents, Survey, found_labels
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.tables import Table
from pipelines.data.images.class_folders import class_images
from pipelines.data.images.decode_images import decode_images
from pipelines.data.images.image_options import ImageOptions
from pipelines.data.images.image_sources import file_source

BLOCK_FILES = 256
"""In a block. It decides the order in which images are learned, and so never changes."""


class _File(NamedTuple):
    """Attributes:
    path: from the folder of all classes on.
    state: what the file was when it was listed.
    """

    path: str
    state: FileState

    @property
    def label(self) -> str:
        return self.path.partition("/")[0]


@dataclass(frozen=True)
class ImageBlocks:
    """The reader (see `pipelines.data.blocks.block_reader.BlockReader`).

    A folder with a folder for each class takes the place of a file.

    The order by hashes of the paths mixes the classes, so that a block has images of all of them.

    Attributes:
        options: what images become.
        above: whether the folder's own name is part of the ids, which are paths: it is one of several.
        block_files: files in a block.
    """

    options: ImageOptions
    above: bool = False
    suffix: tuple[str, ...] = ()
    block_files: int = BLOCK_FILES

    def describe(self) -> dict[str, Any]:
        size, options = self.options.size, self.options
        return {
            "format": "image-folder",
            "size": None if size is None else list(size),
            "channels": options.channels,
            "resize": options.resize,
            "above": self.above,
            "block": self.block_files,
        }

    def states(self, locations: Sequence[Location]) -> list[FileState]:
        """What folders are now: their bytes, and a number that changes with paths, sizes and times of their files."""
        return [_state(_listed(location)) for location in locations]

    def block_state(self, location: Location, number: int, state: FileState, extents: Extents) -> FileState:
        """The state of the folder, as far as a block shows: as it was, unless one of its files has changed."""
        files = self._files(extents, number)
        now = states([location / file.path for file in files])
        return state if now == [file.state for file in files] else FileState(state.bytes, -1)

    def read(self, location: Location) -> tuple[Table, Table | None]:
        files = _listed(location)
        return self._table(location, files, self._decoded(location, files)), None

    def labels(self, location: Location) -> NDArray[Any]:
        return np.array([file.label for file in _listed(location)])

    def survey(self, location: Location) -> Survey:
        files = _listed(location)
        starts = range(0, len(files), self.block_files)
        places = [(start, min(start + self.block_files, len(files))) for start in starts]
        found = [found_labels(np.array([file.label for file in files[a:b]])) for a, b in places]
        listed = json.dumps([[file.path, *file.state] for file in files], separators=(",", ":"))
        return Survey.of([b - a for a, b in places], found, Extents(np.array(places, dtype=np.int64), listed))

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        extents = extents or self._extents(location)
        found = []
        for number in numbers:
            digest = hashlib.blake2b(b"image-folder 1", digest_size=16)
            for file in self._files(extents, number):
                with (location / file.path).open() as opened:
                    data = opened.read()
                digest.update(f"|{file.path}|{len(data)}|".encode())
                digest.update(data)
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
        files = self._files(extents or self._extents(location), number)
        for start in range(0, len(files), rows):
            some = files[start : start + rows]
            made = self._decoded(location, some) if inputs else np.empty((len(some), 0))
            yield self._table(location, some, made)

    def _decoded(self, location: Location, files: Sequence[_File]) -> NDArray[np.uint8]:
        return decode_images([file_source(location / file.path, file.state) for file in files], self.options)

    def _table(self, location: Location, files: Sequence[_File], inputs: NDArray[Any]) -> Table:
        above = f"{location.name}/" if self.above else ""
        labels = np.array([file.label for file in files])
        return Table(inputs, labels, np.array([above + file.path for file in files], dtype=object))

    def _files(self, extents: Extents, number: int) -> Sequence[_File]:
        first, end = extents.bytes[number].tolist()
        return _parsed(extents.schema)[first:end]

    def _extents(self, location: Location) -> Extents:
        found = self.survey(location).extents
        assert found is not None
        return found


def _listed(location: Location) -> list[_File]:
    """The images of a folder of classes, in their order. Raises DataError."""
    there = {place.path: state for place, state in location.walk()}
    files = [_File(one.path, there[f"{location.path}/{one.path}"]) for one in class_images(location)]
    if not files:
        raise DataError(f"{location.path}: has no images")
    return sorted(files, key=lambda file: hashlib.blake2b(file.path.encode(), digest_size=8).digest())


def _state(files: Sequence[_File]) -> FileState:
    digest = hashlib.blake2b(repr([tuple(file) for file in files]).encode(), digest_size=7).digest()
    return FileState(sum(file.state.bytes for file in files), int.from_bytes(digest))


@lru_cache(maxsize=64)
def _parsed(text: str) -> tuple[_File, ...]:
    return tuple(_File(path, FileState(size, modified)) for path, size, modified in json.loads(text))
