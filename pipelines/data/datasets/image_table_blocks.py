"""Tables that list images by blocks: rows of the table, whose images are decoded when the block is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_reader import Extents, Survey
from pipelines.data.blocks.table_content import BlockFeatures
from pipelines.data.datasets import csv_files, jsonl_files
from pipelines.data.datasets.arrow_columns import Columns, is_text, values
from pipelines.data.datasets.csv_blocks import CsvRows
from pipelines.data.datasets.jsonl_blocks import JsonRows
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.table_rows import TABLES
from pipelines.data.datasets.tables import Table
from pipelines.data.datasets.text_blocks import TextBlocks
from pipelines.data.features.feature_columns import FeatureOptions
from pipelines.data.images.decode_images import decode_images
from pipelines.data.images.image_options import ImageOptions
from pipelines.data.images.image_sources import ImageSource, column_sources
from strategies.objectives.objective import TargetKind

BLOCK_BYTES = 2**14
"""Of text in a block: some hundred paths. It decides the order in which images are learned, and so never changes."""

_ROWS = 4096
"""Of a table without images that are looked at at a time."""


@dataclass(frozen=True)
class ImageTableBlocks:
    """The reader (see `pipelines.data.blocks.block_reader.BlockReader`).

    A block is one of the table's format: a row group of parquet, or lines of text. Its hash is of its rows and of the
    files that they name.

    Attributes:
        options: what images become.
        image: the column of the images: paths from the table's folder on, or the bytes of PNG or JPEG files.
        columns: those of label and id, and by which rows are divided. Without ids, paths are the ids.
        kind: what labels are read as.
        suffix: of tables.
        block_bytes: of a block of text.
    """

    options: ImageOptions
    image: str
    columns: Columns
    kind: TargetKind = "classes"
    suffix: tuple[str, ...] = TABLES
    block_bytes: int = BLOCK_BYTES

    def describe(self) -> dict[str, Any]:
        size, options = self.options.size, self.options
        return {
            "format": "image-table",
            "image": self.image,
            "size": None if size is None else list(size),
            "channels": options.channels,
            "resize": options.resize,
            "label": list(self.columns.label_names),
            "id": self.columns.id,
            "by": [self.columns.by, self.columns.period],
            "targets": self.kind,
            "block": self.block_bytes,
        }

    def states(self, locations: Sequence[Location]) -> list[FileState]:
        """What tables are now: their bytes, and a number that changes with them and with the files that they name."""
        return [self._state(location, now) for location, now in zip(locations, states(locations), strict=True)]

    def block_state(self, location: Location, number: int, state: FileState, extents: Extents) -> FileState:
        """The state of the table, as far as a block shows: as it was, unless the table or an image has changed."""
        known, (now,) = json.loads(extents.schema), states([location])
        if list(now) != known["table"]:
            return FileState(now.bytes, -1)
        versions = self._versions(location, number, now, _of_table(extents))
        return state if versions == known["images"][number] else FileState(state.bytes, -1)

    def read(self, location: Location) -> tuple[Table, Table | None]:
        survey, (state,) = self.survey(location), self.states([location])
        tables = [
            table
            for number, rows in enumerate(survey.rows.tolist())
            for table in self.read_block(location, number, state, rows, extents=survey.extents)
        ]
        inputs, labels = (np.concatenate([getattr(one, name) for one in tables]) for name in ("inputs", "labels"))
        ids = None if tables[0].ids is None else np.concatenate([one.ids for one in tables if one.ids is not None])
        return Table(inputs, labels, ids), None

    def labels(self, location: Location) -> NDArray[Any]:
        return self.read(location)[0].labels

    def survey(self, location: Location) -> Survey:
        found, (now,) = self._rows(location).survey(location), states([location])
        places = np.zeros((len(found.rows), 2), dtype=np.int64) if found.extents is None else found.extents.bytes
        known: dict[str, Any] = {"table": list(now), "schema": "" if found.extents is None else found.extents.schema}
        images = [self._versions(location, n, now, found.extents) for n in range(len(found.rows))]
        return replace(found, extents=Extents(places, json.dumps(known | {"images": images})))

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        inner, (state,), found = self._rows(location), states([location]), []
        of_rows = inner.hashes(location, numbers, _of_table(extents))
        for number, rows in zip(numbers, of_rows, strict=True):
            digest = hashlib.blake2b(b"image-table 1" + rows, digest_size=16)
            for _, sources in self._pieces(location, number, state, _ROWS, _of_table(extents)):
                for source in sources:
                    if source.location is not None:
                        data = source.read()
                        digest.update(f"|{len(data)}|".encode())
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
        done, place = 0, Location(f"{location.path}, block {number}")
        for table, sources in self._pieces(location, number, state, rows, _of_table(extents)):
            labels, groups = self.columns.labels(table, place), self.columns.groups(table, place)
            ids, images = None, table[self.image].to_pylist()
            if self.columns.id is not None:
                ids = values(table[self.columns.id], self.columns.id, place)
            elif all(isinstance(path, str) for path in images):
                ids = values(table[self.image], self.image, place)
            made = decode_images(sources, self.options) if inputs else np.empty((len(table), 0))
            yield Table(made, labels, ids, groups=groups)
            done += len(table)

    def _pieces(
        self, location: Location, number: int, state: FileState, rows: int, extents: Extents | None
    ) -> Iterator[tuple[Any, list[ImageSource]]]:
        """Rows of a block as arrow tables, with their images before they are decoded.

        Args:
            extents: as the table's own format knows them.
        """
        done = 0
        for table in self._rows(location).tables(location, number, state, rows, extents=extents):
            where = f"{location.path}, block {number}"
            yield table, list(column_sources(table[self.image], self.image, where, location.parent, done))
            done += len(table)

    def _versions(self, location: Location, number: int, state: FileState, extents: Extents | None) -> str:
        """What changes with the images of a block."""
        digest = hashlib.blake2b(digest_size=8)
        for _, sources in self._pieces(location, number, state, _ROWS, extents):
            digest.update("".join(f"{source.version}\n" for source in sources).encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _state(self, location: Location, now: FileState) -> FileState:
        digest, done = hashlib.blake2b(repr(tuple(now)).encode(), digest_size=7), 0
        for column in self._rows(location).column(location, self.image):
            if not is_text(column.type):
                return now  # bytes change with the table
            for one in column_sources(column, self.image, location.path, location.parent, done):
                digest.update(f"{one.version}\n".encode(errors="surrogateescape"))
            done += len(column)
        return FileState(now.bytes, int.from_bytes(digest.digest()))

    def _rows(self, location: Location) -> TextBlocks | ParquetBlocks:
        """Reads the table itself: its images are no inputs there."""
        columns = replace(self.columns, inputs=(self.image,))
        features, name = BlockFeatures(FeatureOptions(image=[self.image])), location.name.lower()
        if name.endswith(".parquet"):
            return ParquetBlocks(columns, kind=self.kind, features=features)
        if name.endswith(csv_files.SUFFIXES):
            return TextBlocks(columns, CsvRows(), self.suffix, self.block_bytes, self.kind, features)
        if name.endswith(jsonl_files.SUFFIXES):
            return TextBlocks(columns, JsonRows(), self.suffix, self.block_bytes, self.kind, features)
        raise DataError(f"{location.path}: is no table: {', '.join(self.suffix)}")


def _of_table(extents: Extents | None) -> Extents | None:
    """The extents as the table's own format knows them; None: its files say where blocks are."""
    schema = "" if extents is None else json.loads(extents.schema)["schema"]
    return replace(extents, schema=schema) if extents is not None and schema else None
