"""Tables that list images by blocks: rows of the table, whose images are decoded when the block is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_reader import Extents, Survey
from pipelines.data.blocks.table_content import BlockFeatures
from pipelines.data.datasets import csv_files, jsonl_files
from pipelines.data.datasets.arrow_columns import Columns, values
from pipelines.data.datasets.csv_blocks import CsvRows
from pipelines.data.datasets.jsonl_blocks import JsonRows
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.named_images import NamedImages, of_table
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.table_rows import TABLES
from pipelines.data.datasets.tables import Table
from pipelines.data.datasets.text_blocks import TextBlocks
from pipelines.data.features.feature_columns import FeatureOptions
from pipelines.data.images.decode_images import decode_images
from pipelines.data.images.image_options import ImageOptions
from strategies.objectives.objective import TargetKind

BLOCK_BYTES = 2**14
"""Of text in a block: some hundred paths. It decides the order in which images are learned, and so never changes."""


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
        now = states(locations)
        return [self._named(location).state(location, one) for location, one in zip(locations, now, strict=True)]

    def block_state(self, location: Location, number: int, state: FileState, extents: Extents) -> FileState:
        """The state of the table, as far as a block shows: as it was, unless the table or an image has changed."""
        return self._named(location).block_state(location, number, state, extents)

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
        return self._named(location).survey(location)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        return self._named(location).hashes(location, numbers, extents)

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
        pieces = self._named(location).pieces(location, number, state, rows, of_table(extents))
        for table, sources in pieces:
            labels, groups = self.columns.labels(table, place), self.columns.groups(table, place)
            ids, images = None, table[self.image].to_pylist()
            if self.columns.id is not None:
                ids = values(table[self.columns.id], self.columns.id, place)
            elif all(isinstance(path, str) for path in images):
                ids = values(table[self.image], self.image, place)
            made = decode_images(sources, self.options) if inputs else np.empty((len(table), 0))
            yield Table(made, labels, ids, groups=groups)
            done += len(table)

    def _named(self, location: Location) -> NamedImages:
        return NamedImages(self._rows(location), (self.image,))

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
