"""Documents for language models by blocks: runs of whole lines or paragraphs, whose documents are packed together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_reader import Extents, Found, Survey, found_labels
from pipelines.data.datasets.document_reader import SUFFIXES, DocumentReader
from pipelines.data.datasets.location import FileState, Location
from pipelines.data.datasets.tables import Table
from pipelines.data.datasets.text_blocks import BLOCK_BYTES, block_bytes_of, text_runs
from pipelines.data.token_cache import cached_tokens, content_key

_KEPT = 8
"""Blocks of tokens that stay in memory, since a block is asked for its rows and then for its inputs."""


@dataclass(frozen=True)
class DocumentBlocks:
    """The reader (see `pipelines.data.blocks.block_reader.BlockReader`).

    The documents of a block are packed for themselves, so that its last sequence is padded. Where a whole file is one
    document, it is cut at ends of lines, and the token of its end stands behind its last block alone.

    Attributes:
        documents: makes sequences of documents.
        suffix: of the files.
        block_bytes: of text in a block, at the most, unless a line or paragraph is longer.
    """

    documents: DocumentReader
    suffix: tuple[str, ...] = field(default=SUFFIXES)
    block_bytes: int = BLOCK_BYTES

    def describe(self) -> dict[str, Any]:
        made = self.documents
        return {
            "format": "documents",
            "tokenizer": made.fingerprint,
            "max_length": made.max_length,
            "text": made.text,
            "prompt": made.prompt,
            "packed": made.packed,
            "separate": made.separate,
            "block": self.block_bytes,
            **({} if made.chat is None else {"chat": made.chat, "template": made.template}),
        }

    def read(self, location: Location) -> tuple[Table, Table | None]:
        survey = self.survey(location)
        parts = [self._sequences(location, number, survey.extents) for number in range(len(survey.rows))]
        inputs, targets = (np.concatenate([pair[which] for pair in parts]) for which in (0, 1))
        return Table(inputs, targets, None), None

    def labels(self, location: Location) -> NDArray[Any]:
        return self.read(location)[0].labels

    def survey(self, location: Location) -> Survey:
        if location.name.lower().endswith(".gz"):
            raise DataError(
                f"{location.path}: a packed file cannot be read by blocks: unpack it, or leave out stream.lanes"
            )
        places = [(at, at + len(data)) for at, data in text_runs(location, 0, self.block_bytes, self._end)]
        if not places:
            raise DataError(f"{location.path}: has no documents")
        extents = Extents(np.array(places, dtype=np.int64), "")
        rows, found = [], list[Found]()
        for number in range(len(places)):
            targets = self._sequences(location, number, extents)[1]
            rows.append(len(targets))
            found.append(found_labels(targets, "tokens"))
        return Survey.of(rows, found, extents)

    def hashes(self, location: Location, numbers: Sequence[int], extents: Extents | None = None) -> list[bytes]:
        extents = extents or self._extents(location)
        last = len(extents.bytes) - 1
        found = []
        for number in numbers:
            digest = hashlib.blake2b(f"documents 1 {number == last}".encode(), digest_size=16)
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
        made, targets = _kept(self, location, number, state, extents or self._extents(location))
        for at in range(0, len(targets), rows):
            piece = slice(at, at + rows)
            yield Table(made[piece] if inputs else np.empty((len(targets[piece]), 0)), targets[piece], None)

    def _sequences(
        self, location: Location, number: int, extents: Extents | None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Inputs and targets of a block, (n, length)."""
        assert extents is not None
        data = block_bytes_of(location, extents, number)
        place = Location(f"{location.path}, from byte {int(extents.bytes[number, 0]):,} on")
        lines = location.name.lower().endswith(".jsonl")
        ends = number == len(extents.bytes) - 1 or lines or self.documents.separate != "file"

        def make() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
            documents = self.documents.encoded(self.documents.rows_of(data, location.name, place))
            return self.documents.sequences(documents, ends=ends)

        inputs, targets = cached_tokens(lambda: content_key([self.describe(), lines, ends], data), make)
        return inputs, targets

    def _end(self, data: bytes, location: Location) -> int:
        """Where the last document that is whole ends."""
        sign = b"\n\n" if self.documents.separate == "paragraph" and not location.name.endswith(".jsonl") else b"\n"
        return data.rfind(sign) + len(sign) if sign in data else 0

    def _extents(self, location: Location) -> Extents:
        found = self.survey(location).extents
        assert found is not None
        return found


class _Known:
    """A block whose sequences are looked up by what it is: an extent has no hash of its own."""

    def __init__(self, extents: Extents, key: tuple[Any, ...]) -> None:
        self.extents, self._key = extents, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


def _kept(
    reader: DocumentBlocks, location: Location, number: int, state: FileState, extents: Extents
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    start, stop = extents.bytes[number].tolist()
    return _made(reader, _Known(extents, (location, number, state, start, stop)), location, number)


@lru_cache(maxsize=_KEPT)
def _made(
    reader: DocumentBlocks, known: _Known, location: Location, number: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    return reader._sequences(location, number, known.extents)
