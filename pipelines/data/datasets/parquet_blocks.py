"""The row groups of parquet files as blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, BinaryIO

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_cache import opened
from pipelines.data.blocks.block_reader import Extents, Survey
from pipelines.data.blocks.table_content import (
    BlockFeatures,
    description,
    featured,
    labels_in,
    outline,
    outline_names,
)
from pipelines.data.datasets.arrow_columns import PANDAS_INDEX, check_columns
from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.parquet_reader import ParquetReader, opened_parquet
from pipelines.data.datasets.tables import Table
from strategies.objectives.objective import TargetKind

_CHUNK = 2**23
"""Bytes that are hashed at a time."""
_BUFFER = 2**16
"""Bytes of a local file that are read at a time."""


@dataclass(frozen=True)
class ParquetBlocks(ParquetReader):
    """Row groups. A column chunk's stored bytes are hashed as they are, so that nothing is decoded for it.

    Attributes:
        kind: what labels are read as.
        features: makes inputs of columns; None: inputs are columns of numbers.
    """

    kind: TargetKind = "classes"
    features: BlockFeatures | None = None

    def describe(self) -> dict[str, Any]:
        return {"format": "parquet", **description(self.columns, self.kind, self.features)}

    def survey(self, location: Location) -> Survey:
        with opened_parquet(location) as file:
            schema = file.schema_arrow
            self.columns.wanted(self._inputs(schema, location), schema.names, location)  # what is missing is said here
            groups, names = range(file.num_row_groups), outline_names(self.columns)
            rows = [file.metadata.row_group(group).num_rows for group in groups]
            tables = (file.read_row_group(group, columns=names, use_threads=False) for group in groups)
            found = [
                labels_in(self.columns, self.kind, table, row_group(location, group))
                for group, table in enumerate(tables)
            ]
            return Survey.of(rows, found)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        with opened(location) as raw:
            metadata = _metadata_of(raw, location)
            schema = metadata.schema.to_arrow_schema()
            wanted = self.columns.wanted(self._inputs(schema, location), schema.names, location)
            return [self._hash(raw, metadata, schema, wanted, number) for number in numbers]

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
        place, done = row_group(location, number), 0
        for table, columns in self._pieces(location, number, state, rows, inputs=inputs):
            yield self._table(table, columns, place, done)
            done += len(table)

    def tables(
        self, location: Location, number: int, state: FileState, rows: int, *, extents: Extents | None = None
    ) -> Iterator[Any]:
        """As `table_content.TableBlocks.tables`."""
        return (table for table, _ in self._pieces(location, number, state, rows, inputs=True))

    def with_features(self, features: BlockFeatures) -> ParquetBlocks:
        """The same with other features."""
        return replace(self, features=features)

    def types(self, location: Location) -> dict[str, Any]:
        """The arrow types of a file's columns."""
        with opened_parquet(location) as file:
            return {field.name: field.type for field in file.schema_arrow}

    def column(self, location: Location, name: str, *, absent: bool = False) -> Iterator[Any]:
        """A column of a file, in pieces.

        Args:
            absent: whether a file may lack it: there are no pieces then.
        """
        with opened_parquet(location) as file:
            if absent and name not in file.schema_arrow.names:
                return
            check_columns([name], file.schema_arrow.names, location, name)
            for batch in file.iter_batches(columns=[name], use_threads=False):
                yield batch.column(0)

    def without_values(self, location: Location, path: str) -> bool:
        """Whether a column, such as `image.bytes` of a nested one, has no value at all, by the statistics of a file."""
        with opened(location) as raw:
            metadata = _metadata_of(raw, location)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        chunks = [column for group in groups for column in _columns(group, path)]
        known = [chunk.statistics for chunk in chunks if chunk.is_stats_set]
        return bool(chunks) and len(known) == len(chunks) and not any(
            one.num_values or not one.has_null_count for one in known
        )  # fmt: skip

    def _pieces(
        self, location: Location, number: int, state: FileState, rows: int, *, inputs: bool
    ) -> Iterator[tuple[Any, Sequence[str]]]:
        """Arrow tables, with the columns of the inputs."""
        import pyarrow
        from pyarrow import parquet

        place = row_group(location, number)
        metadata = _metadata(location, state)
        with opened(location) as raw:
            try:
                # From a server, the ranges of all columns at once, neighbours in one request; of a local file, little
                # at a time, which stays in the processor's cache.
                file = parquet.ParquetFile(
                    raw, metadata=metadata, pre_buffer=location.remote, buffer_size=0 if location.remote else _BUFFER
                )
                schema = file.schema_arrow
                columns = self._inputs(schema, place) if inputs else ()
                wanted = self.columns.wanted(columns, schema.names, place)
                pieces = file.iter_batches(rows, row_groups=[number], columns=wanted, use_threads=False)
                for piece in pieces:
                    yield pyarrow.Table.from_batches([piece]), columns
            except (pyarrow.ArrowException, OSError) as error:
                # Arrow says so where bytes are missing, or are not what they should be.
                raise DataError(f"{place.path}: cannot be read: {str(error).partition(chr(10))[0]}") from error

    def _table(self, table: Any, inputs: Sequence[str], place: Location, first_row: int) -> Table:
        if not inputs:
            return outline(self.columns, table, place)
        if self.features is not None:
            return featured(self.columns, self.features, table, place, first_row)
        return self.columns.table(table, inputs, place)

    def _inputs(self, schema: Any, location: Location) -> tuple[str, ...]:
        names = schema.names
        if self.features is not None:
            types = {field.name: field.type for field in schema if not PANDAS_INDEX.fullmatch(field.name)}
            return self.features.names(self.columns, types, location.path)
        found = self.columns.input_names([name for name in names if not PANDAS_INDEX.fullmatch(name)], location)
        check_columns(found, names, location, "inputs")
        return found

    def _hash(self, raw: BinaryIO, metadata: Any, schema: Any, wanted: Sequence[str], number: int) -> bytes:
        group = metadata.row_group(number)
        digest = hashlib.blake2b(f"parquet 1 {group.num_rows}".encode(), digest_size=16)
        for name in wanted:
            digest.update(f"|{name}|{schema.field(name).type}".encode())
            for column in _columns(group, name):
                digest.update(f"|{column.physical_type} {column.compression} {column.num_values}|".encode())
                for piece in _bytes(raw, column):
                    digest.update(piece)
        return digest.digest()


def row_group(location: Location, number: int) -> Location:
    """A row group of a file, for messages."""
    return Location(f"{location.path}, row group {number}")


@lru_cache(maxsize=64)
def _metadata(location: Location, state: FileState) -> Any:
    """The footer of a file; `state` makes a file that was written again another one."""
    with opened(location) as raw:
        return _metadata_of(raw, location)


def _metadata_of(raw: BinaryIO, location: Location) -> Any:
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_metadata(raw)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{location.path}: not a readable parquet file: {error}") from error


def _columns(group: Any, name: str) -> Iterator[Any]:
    """The column chunks of a column, which a nested one has several of."""
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == name or column.path_in_schema.startswith(f"{name}."):
            yield column


def _bytes(raw: BinaryIO, column: Any) -> Iterator[bytes]:
    start = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
        start = column.dictionary_page_offset
    raw.seek(start)
    left = column.total_compressed_size
    while left:
        piece = raw.read(min(left, _CHUNK))
        if not piece:
            raise OSError("the file ends before its last row group")
        left -= len(piece)
        yield piece
