"""Tables by blocks whose features are images, too: a block's hash is of its rows and of the files that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from pipelines.data.blocks.block_reader import Extents, Survey
from pipelines.data.blocks.table_content import BlockFeatures
from pipelines.data.datasets.arrow_columns import Columns
from pipelines.data.datasets.location import FileState, Location, states
from pipelines.data.datasets.named_images import NamedImages, of_paths, of_table
from pipelines.data.datasets.parquet_blocks import ParquetBlocks
from pipelines.data.datasets.tables import Table
from pipelines.data.datasets.text_blocks import TextBlocks


@dataclass(frozen=True)
class FeatureImageBlocks:
    """The reader (see `pipelines.data.blocks.table_content.TableBlocks`).

    Where the images are bytes in the table, it is the reader of the table.

    Attributes:
        table: reads the table, with columns of images among its features.
    """

    table: TextBlocks | ParquetBlocks

    @property
    def suffix(self) -> str | tuple[str, ...]:
        return self.table.suffix

    @property
    def columns(self) -> Columns:
        return self.table.columns

    @property
    def features(self) -> BlockFeatures | None:
        return self.table.features

    def with_features(self, features: BlockFeatures) -> FeatureImageBlocks:
        """The same with other features."""
        return replace(self, table=self.table.with_features(features))

    def describe(self) -> dict[str, Any]:
        return self.table.describe()

    def states(self, locations: Sequence[Location]) -> list[FileState]:
        """What tables are now: their bytes, and a number that changes with them and with the files that they name."""
        now = states(locations)
        return [self._images(one).state(one, state) for one, state in zip(locations, now, strict=True)]

    def block_state(self, location: Location, number: int, state: FileState, extents: Extents | None) -> FileState:
        """The state of the table, as far as a block shows: as it was, unless the table or an image has changed."""
        if extents is None or of_table(extents) is extents:
            (now,) = states([location])
            return now
        return self._images(location).block_state(location, number, state, extents)

    def read(self, location: Location) -> tuple[Table, Table | None]:
        return self.table.read(location)

    def labels(self, location: Location) -> NDArray[Any]:
        return self.table.labels(location)

    def survey(self, location: Location) -> Survey:
        images = self._images(location)
        return images.survey(location) if images.columns else self.table.survey(location)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        images = self._images(location)
        if not images.columns:
            return self.table.hashes(location, numbers, of_table(extents))
        return images.hashes(location, numbers, extents)

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
        return self.table.read_block(location, number, state, rows, inputs=inputs, extents=of_table(extents))

    def tables(
        self, location: Location, number: int, state: FileState, rows: int, *, extents: Extents | None = None
    ) -> Iterator[Any]:
        return self.table.tables(location, number, state, rows, extents=of_table(extents))

    def begins_with(self, location: Location, number: int, before: Extents, now: Extents) -> bool:
        """As `pipelines.data.blocks.appended_rows.Growing.begins_with`."""
        rows, grown = of_table(before), of_table(now)
        if not isinstance(self.table, TextBlocks) or rows is None or grown is None:
            return False
        return self.table.begins_with(location, number, rows, grown)

    def same_columns(self, before: Extents, now: Extents) -> bool:
        """Whether a file had the same columns, whatever its images are. Blocks have hashes that tell of these."""
        rows, grown = of_table(before), of_table(now)
        return rows is not None and grown is not None and rows.schema == grown.schema

    def _images(self, location: Location) -> NamedImages:
        """The columns of the table that name files."""
        assert self.features is not None
        names = self.features.options.image
        if isinstance(self.table, ParquetBlocks):
            types = self.table.types(location)
            names = [name for name in names if name in types and of_paths(types[name])]
        return NamedImages(self.table, tuple(names), missing=True)
