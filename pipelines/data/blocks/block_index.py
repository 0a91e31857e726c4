"""The index of blocks: for each file its blocks, their rows, labels and content hashes. It is stored, and extended.

An index is made without reading inputs; hashes are computed when they are asked for. Both run in threads, file by file.
A file that is as it was (by size and time of writing) is not looked at again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_reader import BlockReader, Extents
from pipelines.data.blocks.patience import patiently
from pipelines.data.datasets.location import FileState, Location, states

FORMAT = 1
HASH_BYTES = 16
MOST_THREADS = 16

One = TypeVar("One")
Found = TypeVar("Found")


class IndexStore(Protocol):
    """Where an index is kept. What is lost or damaged is made again."""

    def load(self) -> bytes | None: ...

    def save(self, data: bytes) -> None: ...


@dataclass(frozen=True, eq=False)
class IndexedFile:
    """A file and its blocks.

    Attributes:
        location, state: the file, and what it was when it was looked at.
        rows: (blocks,) rows of each block.
        labels: the labels that occur in the file.
        counts: (blocks, labels) uint32: rows of each label in each block.
        hashes: (blocks, 16) uint8: content hashes; None: not computed yet.
        extents: where the blocks are, for formats whose files do not say so.
        groups: of each of `labels`, as in `Survey`.
    """

    location: Location
    state: FileState
    rows: NDArray[np.int64]
    labels: tuple[Any, ...]
    counts: NDArray[np.uint32]
    hashes: NDArray[np.uint8] | None = None
    extents: Extents | None = None
    groups: tuple[Any, ...] | None = None

    def document(self) -> dict[str, Any]:
        """Plain data."""
        extents = self.extents
        return {
            "path": self.location.path,
            "state": list(self.state),
            "rows": self.rows.tolist(),
            "labels": list(self.labels),
            "counts": self.counts.tolist(),
            "hashes": None if self.hashes is None else self.hashes.tobytes().hex(),
            **({} if extents is None else {"bytes": extents.bytes.tolist(), "schema": extents.schema}),
            **({} if self.groups is None else {"groups": list(self.groups)}),
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> IndexedFile:
        """What `document` gave. Raises ValueError, KeyError or TypeError when it is not."""
        rows = np.array(document["rows"], dtype=np.int64)
        counts = np.array(document["counts"], dtype=np.uint32).reshape(len(rows), len(document["labels"]))
        hashes = None
        if document["hashes"] is not None:
            raw = bytes.fromhex(document["hashes"])
            hashes = np.frombuffer(raw, dtype=np.uint8).reshape(len(rows), HASH_BYTES)
        if not (counts.sum(axis=1) == rows).all():
            raise ValueError("the labels of a block are not as many as its rows")
        bytes_, modified = document["state"]
        state = FileState(int(bytes_), int(modified))
        extents = None
        if "bytes" in document:
            places = np.array(document["bytes"], dtype=np.int64).reshape(len(rows), 2)
            extents = Extents(places, str(document["schema"]))
        labels, groups = tuple(document["labels"]), None
        if "groups" in document:
            groups = tuple(document["groups"])
            if len(groups) != len(labels):
                raise ValueError("not every label has a group")
        return cls(Location(document["path"]), state, rows, labels, counts, hashes, extents, groups)


class BlockIndex:
    """The files of a dataset with their blocks."""

    def __init__(self, reader: BlockReader, store: IndexStore | None = None) -> None:
        """
        Args:
            reader: of the file format.
            store: keeps the index; None: it is made anew each time.
        """
        self._reader, self._store = reader, store
        # What takes the place of a file may be a folder, whose format knows what it is now.
        self._states = getattr(reader, "states", states)
        self._derived: dict[str, Any] = {}
        self._known = self._load()

    def derived(self, key: str) -> Any:
        """What was kept by `derive`, plain data; None: nothing."""
        return self._derived.get(key)

    def derive(self, key: str, value: Any) -> None:
        """Keep what was found from the content of files, plain data. The key says from which, by their hashes."""
        self._derived = {**self._derived, key: value}
        self._save()

    def files(self, locations: Sequence[Location]) -> list[IndexedFile]:
        """The files with their blocks, in the order that is given; new and changed ones are looked at.

        Raises:
            DataError: a file cannot be read, or has no rows.
        """
        now = dict(zip(locations, patiently(lambda: self._states(locations)), strict=True))
        fresh = [one for one in locations if one not in self._known or self._known[one].state != now[one]]
        for found in _in_threads(lambda one: self._surveyed(one, now[one]), fresh):
            self._known[found.location] = found
        if fresh:
            self._save()
        empty = [one.path for one in locations if not self._known[one].rows.any()]
        if empty:
            raise DataError(f"{empty[0]}: has no rows. Add rows, or remove the file")
        return [self._known[one] for one in locations]

    def hashed(self, files: Sequence[IndexedFile]) -> list[IndexedFile]:
        """The files with the hashes of their blocks: the content of those without is read once, and not kept.

        Raises:
            DataError: a file cannot be read, or has changed since the index was made.
        """
        fresh = [one for one in files if self._known[one.location].hashes is None]
        for found in _in_threads(self._with_hashes, fresh):
            self._known[found.location] = found
        if fresh:
            self._save()
        return [self._known[one.location] for one in files]

    def _surveyed(self, location: Location, state: FileState) -> IndexedFile:
        found = patiently(lambda: self._reader.survey(location))
        counts = found.counts.astype(np.uint32)
        return IndexedFile(location, state, found.rows, found.labels, counts, None, found.extents, found.groups)

    def _with_hashes(self, file: IndexedFile) -> IndexedFile:
        found = patiently(lambda: self._reader.hashes(file.location, range(len(file.rows)), file.extents))
        if self._states([file.location]) != [file.state]:
            raise DataError(f"{file.location.path}: was written again while it was read. Run the command again")
        return replace(file, hashes=np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, HASH_BYTES))

    def _load(self) -> dict[Location, IndexedFile]:
        data = None if self._store is None else self._store.load()
        if data is None:
            return {}
        try:
            document = json.loads(data)
            if (document["format"], document["reader"]) != (FORMAT, self._reader.describe()):
                return {}
            files = [IndexedFile.of(one) for one in document["files"]]
            self._derived = dict(document.get("derived", {}))
        except (ValueError, KeyError, TypeError):
            return {}
        return {file.location: file for file in files}

    def _save(self) -> None:
        if self._store is not None:
            files = [file.document() for file in self._known.values()]
            document = {"format": FORMAT, "reader": self._reader.describe(), "files": files}
            if self._derived:
                document["derived"] = self._derived
            self._store.save(json.dumps(document, separators=(",", ":")).encode())


def _in_threads(function: Callable[[One], Found], things: Sequence[One]) -> list[Found]:
    """The function of each thing, in their order, by several threads."""
    if len(things) < 2:
        return [function(one) for one in things]
    with ThreadPoolExecutor(min(len(things), MOST_THREADS, 2 * (os.cpu_count() or 1))) as pool:
        try:
            return list(pool.map(function, things))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
