"""Blocks of text files: runs of whole rows, of about so many bytes each, whose places are in the index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_cache import opened
from pipelines.data.blocks.block_reader import Extents, Found, Survey
from pipelines.data.blocks.table_content import (
    BlockFeatures,
    description,
    featured,
    labels_in,
    outline,
    outline_names,
)
from pipelines.data.datasets.arrow_columns import Columns, check_columns
from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.tables import Table
from pipelines.data.datasets.text_tables import refuse_text, text_start, text_table
from strategies.objectives.objective import TargetKind

BLOCK_BYTES = 2**22
"""Of text in a block. It decides the order in which samples are learned, and so never changes."""
LONGEST_ROW = 16
"""Blocks of bytes that a single row may have."""

_HEADER_BYTES = 2**20


class RowFormat(Protocol):
    """A format of text with rows one behind the other."""

    @property
    def name(self) -> str: ...

    def describe(self) -> dict[str, Any]:
        """Its own options, as plain data."""
        ...

    def header(self, data: bytes, location: Location) -> tuple[int, tuple[str, ...]]:
        """Bytes before the first row, and the names of the columns that stand there.

        Args:
            data: the first bytes of a file.
        """
        ...

    def rows_end(self, data: bytes, location: Location) -> int:
        """Where the last row of `data` that is whole ends; 0: none is. `data` begins with a row."""
        ...

    def table(self, data: bytes, schema: Any, only: Sequence[str], place: Location) -> Any:
        """Rows as an arrow table.

        Args:
            schema: an arrow schema; types that are null are found from the values, and so is all that it lacks.
            only: the columns that are wanted; empty: all.

        Raises:
            DataError: they are not of this format, or values not of these types.
        """
        ...

    def unified(self, first: Any, second: Any, place: Location) -> Any:
        """One schema for rows of two. Raises DataError: there is none."""
        ...


@dataclass(frozen=True)
class TextBlocks:
    """The reader (see `pipelines.data.blocks.block_reader.BlockReader`). Inputs are float32, as without blocks.

    Attributes:
        columns: which columns are meant.
        format: of the files.
        suffix: of the files.
        block_bytes: of a block, at the most, unless a row is longer.
        kind: what labels are read as.
        features: makes inputs of columns; None: inputs are columns of numbers.
    """

    columns: Columns
    format: RowFormat
    suffix: tuple[str, ...]
    block_bytes: int = BLOCK_BYTES
    kind: TargetKind = "classes"
    features: BlockFeatures | None = None

    def describe(self) -> dict[str, Any]:
        said = description(self.columns, self.kind, self.features)
        return {"format": self.format.name, **said, "block": self.block_bytes} | self.format.describe()

    def read(self, location: Location) -> tuple[Table, Table | None]:
        survey = self.survey(location)
        tables = [one for number in range(len(survey.rows)) for one in self._block(location, number, survey.extents)]
        inputs, labels = (np.concatenate([getattr(one, name) for one in tables]) for name in ("inputs", "labels"))
        ids = None if self.columns.id is None else np.concatenate([one.ids for one in tables if one.ids is not None])
        return Table(inputs, labels, ids), None

    def labels(self, location: Location) -> NDArray[Any]:
        return self.read(location)[0].labels

    def survey(self, location: Location) -> Survey:
        start, schema = self._header(location)
        wanted: Any = None
        rows: list[int] = []
        found: list[Found] = []
        outlined = outline_names(self.columns)
        types, places = [], []
        for at, data in self._runs(location, start):
            place = _place(location, at)
            _check_utf8(data, location, at)
            table = self.format.table(data, schema, (), place)
            wanted = table.schema if wanted is None else self.format.unified(wanted, table.schema, place)
            self._check_inputs(table, location, place)
            rows.append(len(table))
            types.append([table.schema.field(name).type for name in outlined])
            places.append((at, at + len(data)))
            found.append(labels_in(self.columns, self.kind, table, place))
        if wanted is None:
            raise DataError(f"{location.path}: has no rows. Add rows, or remove the file")
        if any(one != [wanted.field(name).type for name in outlined] for one in types):
            # Only the whole file shows what labels are: 1 is text where another block has words.
            parsed = (
                (self.format.table(data, wanted, outlined, _place(location, at)), _place(location, at))
                for at, data in self._runs(location, start)
            )
            found = [labels_in(self.columns, self.kind, table, place) for table, place in parsed]
        extents = Extents(np.array(places, dtype=np.int64), wanted.serialize().to_pybytes().hex())
        return Survey.of(rows, found, extents)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        extents = extents or self._extents(location)
        schema = schema_of(extents.schema)
        wanted = self.columns.wanted(self._inputs(schema, location), schema.names, location)
        kinds = [f"{name} {schema.field(name).type}" for name in wanted]
        found = []
        for number in numbers:
            digest = hashlib.blake2b(f"{self.format.name} 1 {kinds}".encode(), digest_size=16)
            digest.update(block_bytes_of(location, extents, number))
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
        extents = extents or self._extents(location)
        yield from self._block(location, number, extents, rows, inputs=inputs)

    def tables(
        self, location: Location, number: int, state: FileState, rows: int, *, extents: Extents | None = None
    ) -> Iterator[Any]:
        """As `table_content.TableBlocks.tables`."""
        table, _, _ = self._whole(location, number, extents or self._extents(location), inputs=True)
        return (table.slice(at, rows) for at in range(0, len(table), rows))

    def begins_with(self, location: Location, number: int, before: Extents, now: Extents) -> bool:
        """As `pipelines.data.blocks.appended_rows.Growing.begins_with`."""
        (start, stop), (first, end) = before.bytes[number].tolist(), now.bytes[number].tolist()
        if start != first or stop > end:
            return False
        data = block_bytes_of(location, now, number)[: stop - start + 1]
        # A file without a line break at its end gets one before what is appended.
        whole = stop - start if self.format.rows_end(data[: stop - start], location) == stop - start else len(data)
        return self.format.rows_end(data[:whole], location) == whole

    def with_features(self, features: BlockFeatures) -> TextBlocks:
        """The same with other features."""
        return replace(self, features=features)

    def column(self, location: Location, name: str, *, absent: bool = False) -> Iterator[Any]:
        """A column of a file, in pieces.

        Args:
            absent: whether blocks may lack it, which then have no values.
        """
        import pyarrow

        start, schema = self._header(location)
        for at, data in self._runs(location, start):
            table = self.format.table(data, schema, (), _place(location, at))
            if not absent:
                check_columns([name], table.column_names, location, name)
            yield table[name] if name in table.column_names else pyarrow.nulls(len(table))

    def _block(
        self, location: Location, number: int, extents: Extents | None, rows: int = 0, *, inputs: bool = True
    ) -> Iterator[Table]:
        assert extents is not None
        table, columns, place = self._whole(location, number, extents, inputs=inputs)
        for at in range(0, len(table), rows or len(table)):
            piece = table.slice(at, rows or len(table))
            if not inputs:
                yield outline(self.columns, piece, place)
            elif self.features is not None:
                yield featured(self.columns, self.features, piece, place, at)
            else:
                yield text_table(self.columns, piece, columns, place)

    def _whole(
        self, location: Location, number: int, extents: Extents, *, inputs: bool
    ) -> tuple[Any, Sequence[str], Location]:
        """A block as an arrow table, the columns of its inputs, and where it is."""
        schema = schema_of(extents.schema)
        place = _place(location, int(extents.bytes[number, 0]))
        columns = self._inputs(schema, location) if inputs else ()
        wanted = self.columns.wanted(columns, schema.names, place)
        return self.format.table(block_bytes_of(location, extents, number), schema, wanted, place), columns, place

    def _extents(self, location: Location) -> Extents:
        found = self.survey(location).extents
        assert found is not None
        return found

    def _inputs(self, schema: Any, location: Location) -> tuple[str, ...]:
        names = schema.names
        if self.features is not None:
            types = {field.name: field.type for field in schema if field.name}
            return self.features.names(self.columns, types, location.path)
        found = self.columns.input_names([name for name in names if name], location)
        check_columns(found, names, location, "inputs")
        return found

    def _check_inputs(self, table: Any, location: Location, place: Location) -> None:
        """Refuse rows that lack a column that is wanted, or that have text where numbers are. Raises DataError."""
        if self.features is not None:
            # Only all blocks show which types columns have.
            self.columns.wanted((), table.column_names, location)
            return
        inputs = self._inputs(table.schema, location)
        self.columns.wanted(inputs, table.column_names, location)
        for name in inputs:
            refuse_text(table[name], name, place)

    def _header(self, location: Location) -> tuple[int, Any]:
        """Where the first row begins, and what is known of the columns."""
        import pyarrow

        if location.name.lower().endswith(".gz"):
            raise DataError(
                f"{location.path}: a packed file cannot be read by blocks: unpack it, or leave out stream.lanes"
            )
        with opened(location) as file:
            data = file.read(_HEADER_BYTES)
        start = text_start(data, location)
        if not data.strip():
            raise DataError(f"{location.path}: the file is empty")
        end, names = self.format.header(data[start:], location)
        texts = () if self.features is None else self.features.texts
        types = {name: pyarrow.string() if name in texts else pyarrow.null() for name in names}
        return start + end, pyarrow.schema([pyarrow.field(name, types[name]) for name in names])

    def _runs(self, location: Location, start: int) -> Iterator[tuple[int, bytes]]:
        return text_runs(location, start, self.block_bytes, self.format.rows_end)


def text_runs(
    location: Location, start: int, block_bytes: int, rows_end: Callable[[bytes, Location], int]
) -> Iterator[tuple[int, bytes]]:
    """The blocks of a file: where each begins, and its bytes. Those without any row are left out.

    Args:
        start: where the first row begins.
        block_bytes: of a block, at the most, unless a row is longer.
        rows_end: as `RowFormat.rows_end`.
    """
    with opened(location) as file:
        file.seek(start)
        rest, limit, ended = b"", block_bytes, False
        while rest or not ended:
            if len(rest) < limit and not ended:
                more = _read(file, limit - len(rest))
                ended, rest = len(more) < limit - len(rest), rest + more
            last = ended and len(rest) <= limit
            end = len(rest) if last else rows_end(rest[:limit], location)
            if not end:
                if limit >= LONGEST_ROW * block_bytes:
                    raise DataError(
                        f"{location.path}: the row at byte {start:,} does not end within {limit:,} bytes: is a "
                        "quotation mark missing?"
                    )
                limit *= 2
                continue
            if rest[:end].strip():
                yield start, rest[:end]
            start, rest, limit = start + end, rest[end:], block_bytes


@lru_cache(maxsize=64)
def schema_of(text: str) -> Any:
    """The arrow schema that an index has as text."""
    import pyarrow

    return pyarrow.ipc.read_schema(pyarrow.BufferReader(bytes.fromhex(text)))


def _check_utf8(data: bytes, location: Location, start: int) -> None:
    """Refuse whole rows of a file, the first of which is at this byte, that are no UTF-8. Raises DataError."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{location.path}: is not UTF-8 at byte {start + error.start:,} (0x{data[error.start]:02x}): save the file "
            "as UTF-8"
        ) from None


def _place(location: Location, start: int) -> Location:
    """A block of a file, for messages."""
    return Location(f"{location.path}, rows from byte {start:,} on")


def block_bytes_of(location: Location, extents: Extents, number: int) -> bytes:
    """The bytes of a block. Raises DataError: the file ends before."""
    start, stop = extents.bytes[number].tolist()
    with opened(location) as file:
        file.seek(start)
        data = _read(file, stop - start)
    if len(data) != stop - start:
        raise DataError(f"{location.path}: ends within a block: it was shortened while it was read")
    return data


def _read(file: BinaryIO, size: int) -> bytes:
    """So many bytes, or all that are left."""
    parts, left = [], size
    while left and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
