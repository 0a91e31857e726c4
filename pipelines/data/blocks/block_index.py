"""The index of blocks: for each file its blocks, their rows, labels and content hashes. It is stored, and extended.

An index is made without reading inputs; hashes are computed when they are asked for. Both go file by file, in threads
of this process or by an `Executor` of the store. A file that is as it was (by size and time of writing) is not looked
at again. The index is the same bytes, whoever made it and in however many steps.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.appended_rows import CarriedHash, carried_hashes, may_grow
from pipelines.data.blocks.block_reader import BlockReader, Extents
from pipelines.data.blocks.index_executor import Executor, in_threads
from pipelines.data.blocks.patience import patiently
from pipelines.data.datasets.location import FileState, Location, states

FORMAT = 1
HASH_BYTES = 16
SAVE_S = 60.0
"""Seconds of work after which an index that is being made is saved: an interruption loses no more than these."""


class IndexStore(Protocol):
    """Where an index is kept. What is lost or damaged is made again.

    A store with an attribute `executor`, an `index_executor.Executor`, has files looked at by it.
    """

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
        carried: hashes of blocks for groups that got none of the rows that were appended since.
    """

    location: Location
    state: FileState
    rows: NDArray[np.int64]
    labels: tuple[Any, ...]
    counts: NDArray[np.uint32]
    hashes: NDArray[np.uint8] | None = None
    extents: Extents | None = None
    groups: tuple[Any, ...] | None = None
    carried: tuple[CarriedHash, ...] = ()

    @classmethod
    def unseen(cls, location: Location, state: FileState) -> IndexedFile:
        """A file that was not looked at yet."""
        return cls(location, state, np.zeros(0, np.int64), (), np.zeros((0, 0), np.uint32))

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
            **({} if not self.carried else {"carried": [[*one[:2], one.hash.hex()] for one in self.carried]}),
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
        if counts.sum(axis=1).tolist() != document["rows"]:
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
        carried = tuple(
            CarriedHash(int(at), group, bytes.fromhex(one)) for at, group, one in document.get("carried", ())
        )
        return cls(Location(document["path"]), state, rows, labels, counts, hashes, extents, groups, carried)


class BlockIndex:
    """The files of a dataset with their blocks."""

    def __init__(self, reader: BlockReader, store: IndexStore | None = None) -> None:
        """
        Args:
            reader: of the file format.
            store: keeps the index; None: it is made anew each time.
        """
        self._reader, self._store = reader, store
        self._executor: Executor = getattr(store, "executor", None) or in_threads
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
        self._look(partial(surveyed, self._reader), [self._unseen(one, now[one]) for one in fresh])
        empty = [one.path for one in locations if not self._known[one].rows.any()]
        if empty:
            raise DataError(f"{empty[0]}: has no rows. Add rows, or remove the file")
        return [self._known[one] for one in locations]

    def hashed(self, files: Sequence[IndexedFile]) -> list[IndexedFile]:
        """The files with the hashes of their blocks: the content of those without is read once, and not kept.

        Raises:
            DataError: a file cannot be read, or has changed since the index was made.
        """
        fresh = [one.location for one in files if self._known[one.location].hashes is None]
        self._look(partial(with_hashes, self._reader), [self._known[one] for one in dict.fromkeys(fresh)])
        return [self._known[one.location] for one in files]

    def _unseen(self, location: Location, state: FileState) -> IndexedFile:
        """A file that is to be looked at, with what is known of it from before, if that may still hold."""
        known = self._known.get(location)
        grows = known is not None and may_grow(self._reader, known)
        return replace(known, state=state) if known is not None and grows else IndexedFile.unseen(location, state)

    def _look(self, look: Callable[[IndexedFile], IndexedFile], files: Sequence[IndexedFile]) -> None:
        saved = time.monotonic()
        for found in self._executor(look, files):
            self._known[found.location] = found
            if time.monotonic() - saved > SAVE_S:
                self._save()
                saved = time.monotonic()
        if files:
            self._save()

    def _load(self) -> dict[Location, IndexedFile]:
        data = None if self._store is None else self._store.load()
        if data is None:
            return {}
        try:
            with no_collection():
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
            with no_collection():
                known = sorted(self._known.values(), key=lambda file: file.location.path)
                files = [file.document() for file in known]
            document = {"format": FORMAT, "reader": self._reader.describe(), "files": files}
            if self._derived:
                document["derived"] = self._derived
            self._store.save(json.dumps(document, separators=(",", ":")).encode())


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection: it would look through the many objects that are made here again and again, half the time
    that an index of 100,000 files takes, and there are no circles among them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def surveyed(reader: BlockReader, file: IndexedFile) -> IndexedFile:
    """The file with its blocks; one that is known from before also with their hashes.

    Raises:
        DataError: it cannot be read.
    """
    found = patiently(lambda: reader.survey(file.location))
    seen = replace(
        file,
        rows=found.rows,
        labels=found.labels,
        counts=found.counts.astype(np.uint32),
        hashes=None,
        extents=found.extents,
        groups=found.groups,
        carried=(),
    )
    if file.hashes is None:
        return seen
    seen = with_hashes(reader, seen)
    return replace(seen, carried=patiently(lambda: carried_hashes(reader, file, seen)))


def with_hashes(reader: BlockReader, file: IndexedFile) -> IndexedFile:
    """The file with the hashes of its blocks.

    Raises:
        DataError: it cannot be read, or has changed since the index was made.
    """
    found = patiently(lambda: reader.hashes(file.location, range(len(file.rows)), file.extents))
    if getattr(reader, "states", states)([file.location]) != [file.state]:
        raise DataError(f"{file.location.path}: was written again while it was read. Run the command again")
    return replace(file, hashes=np.frombuffer(b"".join(found), dtype=np.uint8).reshape(-1, HASH_BYTES))
