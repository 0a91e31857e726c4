"""Reads documents and makes sequences of tokens of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError
from pipelines.data.chat_template import Render, answers_in, read_chat_template, template_digest
from pipelines.data.datasets import jsonl_files
from pipelines.data.datasets.arrow_columns import check_columns
from pipelines.data.datasets.jsonl_blocks import JsonRows
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.text_tables import text_of
from pipelines.data.packing import marked, one_by_one, pack
from pipelines.data.samples import TensorSamples
from pipelines.data.tokenizer_file import end_token, read_tokenizer

TEXT_SUFFIXES = (".txt", ".txt.gz", ".md")
SUFFIXES = (*TEXT_SUFFIXES, *jsonl_files.SUFFIXES)

Row = tuple[str, Any]
"""A prompt, often empty, and a text; or where a conversation is, for messages, and the conversation."""

Document = tuple[list[int], list[int]]
"""The tokens of a prompt, often none, and of the text; of a conversation its tokens, and 1 for those of answers."""


@dataclass(frozen=True)
class DocumentReader:
    """Reads the documents of an experience and makes sequences of them; attributes are the options of `load`."""

    tokenizer: str
    max_length: int
    text: str
    prompt: str | None
    packed: bool
    separate: Literal["file", "paragraph", "line"]
    end: str | None
    chat: str | None = None

    @cached_property
    def encoder(self) -> tuple[Any, int]:
        """The tokenizer, and the number of the token that ends a document."""
        encoder = read_tokenizer(self.tokenizer)
        encoder.no_truncation()
        return encoder, end_token(self.tokenizer, encoder, self.end)

    @cached_property
    def fingerprint(self) -> str:
        """Of the tokenizer, and of the token that ends a document."""
        encoder, end = self.encoder
        return hashlib.sha256(f"{end} {encoder.to_str()}".encode()).hexdigest()

    @cached_property
    def template(self) -> str | None:
        """The hash of the chat template; None: there are no conversations."""
        return None if self.chat is None else template_digest(self.tokenizer)

    @cached_property
    def render(self) -> Render:
        """The chat template."""
        return read_chat_template(self.tokenizer)

    @property
    def vocabulary(self) -> int:
        """Tokens of the tokenizer."""
        return int(self.encoder[0].get_vocab_size(with_added_tokens=True))

    def documents(self, location: Location) -> list[Document]:
        """As `rows`, as tokens. Raises DataError as `rows` and `encoded`."""
        return self.encoded(self.rows(location))

    def rows(self, location: Location) -> list[Row]:
        """The documents of a file, or of all files of a folder, in natural order. Raises DataError: there are none."""
        files = location.files(SUFFIXES) if location.is_folder() else [location]
        rows = [row for file in files for row in self._rows(file)]
        if not rows:
            raise DataError(f"{location.path}: has no documents")
        return rows

    def content(self, rows: Sequence[Row]) -> list[Any]:
        """What of some rows becomes tokens, as plain data."""
        return list(rows) if self.chat is None else [messages for _, messages in rows]

    def encoded(self, rows: Sequence[Row]) -> list[Document]:
        """Documents as tokens.

        Raises:
            DataError: one is no conversation, or its answers are behind the longest sequence.
        """
        if self.chat is not None:
            return [self._conversation(*row) for row in rows]
        encoder, _ = self.encoder
        columns = ([row[0] for row in rows], [row[1] for row in rows])
        prompts, texts = ([one.ids for one in encoder.encode_batch(c, add_special_tokens=False)] for c in columns)
        return list(zip(prompts, texts, strict=True))

    def samples(self, documents: Sequence[Document]) -> TensorSamples:
        """The documents as sequences."""
        inputs, targets = (torch.from_numpy(part) for part in self.sequences(documents))
        return TensorSamples(inputs, targets)

    def sequences(
        self, documents: Sequence[Document], *, ends: bool = True
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The documents as sequences: inputs and targets, (n, length).

        Args:
            ends: the end token follows the last document; otherwise the document continues in another part.
        """
        if not documents:
            nothing = np.zeros((0, self.max_length), dtype=np.int32)
            return nothing, nothing
        prompts, texts = zip(*documents, strict=True)
        if self.chat is not None:
            return marked(prompts, texts, self.max_length)
        end = self.encoder[1]
        if self.packed:
            return pack(texts, self.max_length, end, ends=ends)
        return one_by_one(prompts, texts, self.max_length, end)

    def _conversation(self, where: str, messages: Any) -> Document:
        try:
            text, spans = answers_in(messages, self.render)
        except DataError as error:
            raise DataError(f"{where}: {self.chat} {error}") from None
        tokens = self.encoder[0].encode(text, add_special_tokens=False)
        marks = [int(any(a <= first and last <= b for a, b in spans)) for first, last in tokens.offsets]
        if not any(marks[1 : self.max_length + 1]):
            raise DataError(f"{where}: its first answer is behind {self.max_length} tokens: raise max_length")
        return list(tokens.ids), marks

    def _rows(self, file: Location) -> list[Row]:
        if file.name.lower().endswith(jsonl_files.SUFFIXES):
            return self._of_table(jsonl_files.read_jsonl(file), file)
        self._check_text(file.name, file)
        return self._of_text(text_of(file).decode())

    def rows_of(self, data: bytes, name: str, place: Location) -> list[Row]:
        """The documents of a part of a file, which is UTF-8.

        Args:
            name: of the file.
            place: where the part is, for messages.
        """
        if name.lower().endswith(jsonl_files.SUFFIXES):
            import pyarrow

            return self._of_table(JsonRows().table(data, pyarrow.schema([]), (), place), place)
        self._check_text(name, place)
        try:
            return self._of_text(data.decode())
        except UnicodeDecodeError as error:
            raise DataError(f"{place.path}: is not UTF-8 (byte {error.start}): save the file as UTF-8") from error

    def _check_text(self, name: str, file: Location) -> None:
        if self.chat is not None:
            raise DataError(f"{file.path}: conversations are in files of JSON Lines: {', '.join(jsonl_files.SUFFIXES)}")
        if not name.lower().endswith(TEXT_SUFFIXES):
            raise DataError(f"{file.path}: must be a file of texts: {', '.join(SUFFIXES)}")
        if self.prompt is not None:
            raise DataError(f"{file.path}: a file of plain text has no prompts: leave out dataset.prompt")

    def _of_text(self, whole: str) -> list[Row]:
        parts = {"file": [whole], "paragraph": whole.split("\n\n"), "line": whole.splitlines()}[self.separate]
        return [("", part) for part in parts if part.strip()]

    def _of_table(self, table: Any, file: Location) -> list[Row]:
        if self.chat is not None:
            check_columns([self.chat], table.column_names, file, "chat")
            messages = table[self.chat].to_pylist()
            return [(f"{file.path}: row {row}", one) for row, one in enumerate(messages)]
        for key, column in (("text", self.text), ("prompt", self.prompt)):
            if column is not None:
                check_columns([column], table.column_names, file, key)
        texts = table[self.text].to_pylist()
        prompts = [""] * len(texts) if self.prompt is None else table[self.prompt].to_pylist()
        rows = list(zip(prompts, texts, strict=True))
        wrong = next((row for row, pair in enumerate(rows) if not all(isinstance(text, str) for text in pair)), None)
        if wrong is not None:
            raise DataError(f"{file.path}: row {wrong} has no text: {rows[wrong]!r}")
        return rows

    def __getstate__(self) -> dict[str, Any]:
        # A template that is ready to use consists of functions, which cannot be sent.
        return {name: value for name, value in self.__dict__.items() if name != "render"}
