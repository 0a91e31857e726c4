"""Files of labelled texts, as tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets import csv_files, jsonl_files
from pipelines.data.datasets.arrow_columns import Columns, check_columns, values
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.tables import Table, TableFiles
from pipelines.data.datasets.text_tables import ArrowRows
from pipelines.data.packing import PADDING
from pipelines.data.token_cache import cached_tokens, content_key
from pipelines.data.tokenizer_file import read_tokenizer

_FORMATS: tuple[tuple[tuple[str, ...], Callable[[Location], Any]], ...] = (
    (csv_files.SUFFIXES, csv_files.read_csv),
    (jsonl_files.SUFFIXES, jsonl_files.read_jsonl),
)


@dataclass(frozen=True)
class TextReader:
    """Texts as tokens: inputs are (n, max_length) int32, with `PADDING` behind the tokens of a text.

    Attributes:
        tokenizer: a folder with tokenizer.json, or a hub id.
        max_length: longer texts are cut.
        text, label, id: columns.
        rows: reads a file; None: by its suffix.
    """

    tokenizer: str
    max_length: int
    text: str
    label: str
    id: str | None
    rows: ArrowRows | None = None

    @property
    def suffix(self) -> tuple[str, ...]:
        return tuple(suffix for suffixes, _ in _FORMATS for suffix in suffixes)

    @property
    def columns(self) -> Columns:
        return Columns.of(self.text, self.label, self.id)

    def read(self, location: Location) -> tuple[Table, Table | None]:
        table = self._rows(location)
        for key, name in (("text", self.text), ("label", self.label), ("id", self.id)):
            if name is not None:
                check_columns([name], table.column_names, location, key)
        ids = None if self.id is None else values(table[self.id], self.id, location)
        tokens = self._tokens(table[self.text], location)
        return Table(tokens, values(table[self.label], self.label, location), ids), None

    def labels(self, location: Location) -> NDArray[Any]:
        table = self._rows(location)
        check_columns([self.label], table.column_names, location, "label")
        return values(table[self.label], self.label, location)

    def _rows(self, location: Location) -> Any:
        if self.rows is not None:
            return self.rows(location)
        name = location.name.lower()
        read = next((read for suffixes, read in _FORMATS if name.endswith(suffixes)), None)
        if read is None:
            raise DataError(f"{location.path}: must be a file of texts: {', '.join(self.suffix)}")
        return read(location)

    def _tokens(self, column: Any, location: Location) -> NDArray[np.int32]:
        texts = column.to_pylist()
        row = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
        if row is not None:
            raise DataError(f"{location.path}: column '{self.text}' has no text in row {row}: {texts[row]!r}")

        def make() -> tuple[NDArray[np.int32]]:
            tokens = np.full((len(texts), self.max_length), PADDING, dtype=np.int32)
            for row, found in enumerate(self._encoder.encode_batch(texts)):
                if not found.ids:
                    raise DataError(f"{location.path}: column '{self.text}' is empty in row {row}")
                tokens[row, : len(found.ids)] = found.ids
            return (tokens,)

        (tokens,) = cached_tokens(lambda: content_key(["text", self._encoder.to_str(), self.max_length], texts), make)
        return tokens

    @cached_property
    def _encoder(self) -> Any:
        encoder = read_tokenizer(self.tokenizer)
        encoder.enable_truncation(self.max_length)
        return encoder

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_encoder"}


def load(
    path: str,
    *,
    tokenizer: Annotated[str, Field(min_length=1, max_length=4096)],
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] = 128,
    text: str = "text",
    test: str | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    label: str = "label",
    id: str | None = None,  # noqa: A002 (the option's name)
    classes: Annotated[int, Field(ge=1)] | Sequence[int | str] | None = None,
) -> Dataset | ExperienceDataset:
    """Texts in CSV or JSON Lines files, as tokens: a file that is split by class, or a folder, a file per experience.

    Args:
        path: a .csv, .tsv or .jsonl file, also .gz, or a folder of them, one for each experience.
        tokenizer: a folder with tokenizer.json, such as that of a pretrained model, or a hub id.
        max_length: tokens of a text; longer ones are cut, shorter ones padded.
        text: column of the texts.
        test: the test rows: a file, or a folder with files of the same names. Without it, a fixed part of each class is
            held out for testing.
        test_fraction: share of each class that is held out for testing.
        label: column of the labels: text, whole numbers, or true and false.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        classes: number of classes, or the labels in the order of the classes; by default the labels of the training
            rows, sorted. Set it where more classes are to come: it decides the size of the model's head.
    """
    reader = TextReader(tokenizer, max_length, text, label, id)
    files = TableFiles.of(reader, path, test, test_fraction, classes, None, "first", from_training=True)
    return files.load("text")
