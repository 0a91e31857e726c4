"""Image files that the rows of a table name, block by block: what a block is changes with the bytes of its images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipelines.data.blocks.block_reader import Extents, Survey
from pipelines.data.datasets.arrow_columns import is_text
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.text_blocks import TextBlocks
from pipelines.data.images.image_sources import ImageSource, present_sources

_ROWS = 4096
"""Of a table without images that are looked at at a time."""


@dataclass(frozen=True)
class NamedImages:
    """The images of a table.

    Attributes:
        table: reads its rows.
        columns: the images: paths from the table's folder on, or the bytes of PNG or JPEG files.
        missing: whether rows may be without an image.
    """

    table: TextBlocks | ParquetBlocks
    columns: tuple[str, ...]
    missing: bool = False

    def state(self, location: Location, now: FileState) -> FileState:
        """What a table is: its bytes, and a number that changes with it and with the files that it names.

        Args:
            now: the state of the table's own file.
        """
        digest, named = hashlib.blake2b(repr(tuple(now)).encode(), digest_size=7), False
        for name in self.columns:
            done = 0
            for piece in self.table.column(location, name, absent=self.missing):
                if not (of_paths(piece.type) or self._paths_alone(location, name, piece.type)):
                    break  # bytes change with the table
                named = True
                digest.update(_versions(self._sources(piece, name, location.path, location, done)))
                done += len(piece)
        return FileState(now.bytes, int.from_bytes(digest.digest())) if named else now

    def block_state(self, location: Location, number: int, state: FileState, extents: Extents) -> FileState:
        """The state of a table, as far as a block shows: as it was, unless the table or an image has changed."""
        known, (now,) = json.loads(extents.schema), states([location])
        if list(now) != known["table"]:
            return FileState(now.bytes, -1)
        versions = self._block_versions(location, number, now, of_table(extents))
        return state if versions == known["images"][number] else FileState(state.bytes, -1)

    def survey(self, location: Location) -> Survey:
        """That of the table, whose extents also know what the images were."""
        found, (now,) = self.table.survey(location), states([location])
        places = np.zeros((len(found.rows), 2), dtype=np.int64) if found.extents is None else found.extents.bytes
        known: dict[str, Any] = {"table": list(now), "schema": "" if found.extents is None else found.extents.schema}
        images = [self._block_versions(location, n, now, found.extents) for n in range(len(found.rows))]
        return replace(found, extents=Extents(places, json.dumps(known | {"images": images})))

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None) -> list[bytes]:
        """Of the rows of blocks and of the files that they name."""
        (state,), found = states([location]), []
        of_rows = self.table.hashes(location, numbers, of_table(extents))
        for number, rows in zip(numbers, of_rows, strict=True):
            digest = hashlib.blake2b(b"image-table 1" + rows, digest_size=16)
            for _, sources in self.pieces(location, number, state, _ROWS, of_table(extents)):
                for source in sources:
                    if source.location is not None:
                        data = source.read()
                        digest.update(f"|{len(data)}|".encode())
                        digest.update(data)
            found.append(digest.digest())
        return found

    def pieces(
        self, location: Location, number: int, state: FileState, rows: int, extents: Extents | None
    ) -> Iterator[tuple[Any, list[ImageSource]]]:
        """Rows of a block as arrow tables, with their images before they are decoded.

        Args:
            extents: as the table's own format knows them.
        """
        done, where = 0, f"{location.path}, block {number}"
        for table in self.table.tables(location, number, state, rows, extents=extents):
            columns = (self._sources(table[name], name, where, location, done) for name in self.columns)
            yield table, [source for column in columns for source in column]
            done += len(table)

    def _sources(self, column: Any, name: str, where: str, location: Location, first_row: int) -> list[ImageSource]:
        found = present_sources(column, name, where, location.parent, first_row, missing=self.missing)
        return [found[row] for row in sorted(found)]

    def _paths_alone(self, location: Location, name: str, type_: Any) -> bool:
        """Whether values {bytes, path} have no bytes in the whole table, so that they name files."""
        from pyarrow import types

        if not types.is_struct(type_) or type_.get_field_index("path") < 0:
            return False
        if type_.get_field_index("bytes") < 0:
            return True
        return isinstance(self.table, ParquetBlocks) and self.table.without_values(location, f"{name}.bytes")

    def _block_versions(self, location: Location, number: int, state: FileState, extents: Extents | None) -> str:
        """What changes with the images of a block."""
        digest = hashlib.blake2b(digest_size=8)
        for _, sources in self.pieces(location, number, state, _ROWS, extents):
            digest.update(_versions(sources))
        return digest.hexdigest()


def of_paths(type_: Any) -> bool:
    """Whether a column of this arrow type may name files: bytes, also with their path, lie in the table itself."""
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    return is_text(type_) or bool(types.is_null(type_))


def of_table(extents: Extents | None) -> Extents | None:
    """The extents as the table's own format knows them; None: its files say where blocks are."""
    if extents is None or not extents.schema.startswith("{"):
        return extents  # of the table alone: no image was looked at
    schema = json.loads(extents.schema)["schema"]
    return replace(extents, schema=schema) if schema else None


def _versions(sources: Sequence[ImageSource]) -> bytes:
    return "".join(f"{source.version}\n" for source in sources).encode(errors="surrogateescape")
