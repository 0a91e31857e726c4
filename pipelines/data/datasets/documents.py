"""Documents for language models, as sequences of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets import jsonl_files
from pipelines.data.datasets.arrow_columns import check_columns
from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.listed_experiences import ListedExperiences
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.stratified_holdout import stratified_holdout
from pipelines.data.datasets.text_tables import text_of
from pipelines.data.packing import one_by_one, pack
from pipelines.data.samples import TensorSamples
from pipelines.data.tokenizer_file import end_token, read_tokenizer

_TEXT_SUFFIXES = (".txt", ".txt.gz", ".md")
_SUFFIXES = (*_TEXT_SUFFIXES, *jsonl_files.SUFFIXES)

Document = tuple[list[int], list[int]]
"""The tokens of a prompt, often none, and of the text."""


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

    @cached_property
    def _encoder(self) -> tuple[Any, int]:
        encoder = read_tokenizer(self.tokenizer)
        encoder.no_truncation()
        return encoder, end_token(self.tokenizer, encoder, self.end)

    @property
    def vocabulary(self) -> int:
        """Tokens of the tokenizer."""
        return int(self._encoder[0].get_vocab_size(with_added_tokens=True))

    def documents(self, location: Location) -> list[Document]:
        """The documents of a file, or of all files of a folder, in natural order. Raises DataError: there are none."""
        files = location.files(_SUFFIXES) if location.is_folder() else [location]
        rows = [row for file in files for row in self._rows(file)]
        if not rows:
            raise DataError(f"{location.path}: has no documents")
        encoder, _ = self._encoder
        columns = ([row[0] for row in rows], [row[1] for row in rows])
        prompts, texts = ([one.ids for one in encoder.encode_batch(c, add_special_tokens=False)] for c in columns)
        return list(zip(prompts, texts, strict=True))

    def samples(self, documents: Sequence[Document]) -> TensorSamples:
        """The documents as sequences."""
        prompts, texts = zip(*documents, strict=True)
        end = self._encoder[1]
        made = pack(texts, self.max_length, end) if self.packed else one_by_one(prompts, texts, self.max_length, end)
        inputs, targets = (torch.from_numpy(part) for part in made)
        return TensorSamples(inputs, targets)

    def _rows(self, file: Location) -> list[tuple[str, str]]:
        name = file.name.lower()
        if name.endswith(_TEXT_SUFFIXES):
            if self.prompt is not None:
                raise DataError(f"{file.path}: a file of plain text has no prompts: leave out dataset.prompt")
            whole = text_of(file).decode()
            parts = {"file": [whole], "paragraph": whole.split("\n\n"), "line": whole.splitlines()}[self.separate]
            return [("", part) for part in parts if part.strip()]
        if not name.endswith(jsonl_files.SUFFIXES):
            raise DataError(f"{file.path}: must be a file of texts: {', '.join(_SUFFIXES)}")
        table = jsonl_files.read_jsonl(file)
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


def load(
    path: str,
    *,
    tokenizer: Annotated[str, Field(min_length=1, max_length=4096)],
    max_length: Annotated[int, Field(ge=2, le=1 << 20)] = 512,
    text: str = "text",
    prompt: str | None = None,
    pack: bool | None = None,
    separate: Literal["file", "paragraph", "line"] = "file",
    end: str | None = None,
    test: str | None = None,
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1,
) -> ListedExperiences:
    """Documents for objective: next-token: a folder with a file, or a folder of files, for each experience.

    Args:
        path: a folder: each .txt, .md or .jsonl file in it, also .gz, is an experience, or each folder in it; or one
            file. In natural order of their names: part2 before part10.
        tokenizer: a folder with tokenizer.json, such as that of the pretrained model, or a hub id.
        max_length: tokens of a sequence.
        text: column of the texts, in JSON Lines.
        prompt: column, in JSON Lines, of what stands before each text and is not learned itself: completions alone
            are.
        pack: documents one behind the other, cut into sequences of max_length tokens; false: a sequence for each
            document, the longer ones cut. By default true without prompts.
        separate: what a document is in plain text: a file, a paragraph or a line.
        end: the token behind each document; by default the tokenizer's eos_token.
        test: a folder with the test documents, in files or folders of the same names. Without it, a fixed part of the
            documents is held out for testing; of a single document its last part.
        test_fraction: share of the documents that is held out.
    """
    packed = prompt is None if pack is None else pack
    if packed and prompt is not None:
        raise DataError("dataset.pack: sequences with prompts stand alone: leave `pack` out, or `prompt`")
    reader = DocumentReader(tokenizer, max_length, text, prompt, packed, separate, end)
    where = Location.of(path)
    parts = _experiences(where)
    tests = None if test is None else {part.name: part for part in _experiences(Location.of(test))}
    found = []
    for part in parts:
        documents = reader.documents(part)
        if tests is None:
            train, held_out = _divided(documents, test_fraction, part)
        elif len(parts) == len(tests) == 1:
            train, held_out = documents, reader.documents(next(iter(tests.values())))
        elif part.name in tests:
            train, held_out = documents, reader.documents(tests[part.name])
        else:
            raise DataError(f"{test}: has no test documents for {part.name}")
        made = [reader.samples(some) for some in (train, held_out)]
        found.append(Dataset(part.path, made[0], made[1], reader.vocabulary))
    return ListedExperiences("documents", found)


def _experiences(where: Location) -> list[Location]:
    if not where.is_folder():
        return [where]
    return where.folders() or where.files(_SUFFIXES)


def _divided(documents: list[Document], share: float, where: Location) -> tuple[list[Document], list[Document]]:
    """Documents for training and for testing."""
    if len(documents) > 1:
        train, test = stratified_holdout(np.zeros(len(documents), dtype=np.int64), share)
        return [documents[row] for row in train], [documents[row] for row in test]
    prompt, tokens = documents[0]
    cut = round(len(tokens) * (1 - share))
    if not 2 <= cut <= len(tokens) - 2:
        raise DataError(f"{where.path}: one document of {len(tokens)} tokens is too short to hold out a part of it")
    return [(prompt, tokens[:cut])], [([], tokens[cut:])]
