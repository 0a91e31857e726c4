"""Documents for language models, as sequences of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import load_blocks
from pipelines.data.blocks.block_index import IndexStore
from pipelines.data.datasets.dataset import Dataset, ExperienceDataset
from pipelines.data.datasets.document_blocks import DocumentBlocks
from pipelines.data.datasets.document_reader import SUFFIXES, Document, DocumentReader, Row
from pipelines.data.datasets.listed_experiences import ListedExperiences
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.stratified_holdout import stratified_holdout
from pipelines.data.datasets.tables import TableFiles
from pipelines.data.samples import TensorSamples
from pipelines.data.token_cache import cached_tokens, content_key


def load(
    path: str,
    *,
    tokenizer: Annotated[str, Field(min_length=1, max_length=4096)],
    max_length: Annotated[int, Field(ge=2, le=1 << 20)] = 512,
    text: str = "text",
    prompt: str | None = None,
    chat: str | None = None,
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
        chat: column, in JSON Lines, of conversations: lists of {role, content}, as text by the chat template of the
            tokenizer; the answers (role: assistant) alone are learned.
        pack: documents one behind the other, cut into sequences of max_length tokens; false: a sequence for each
            document, the longer ones cut. By default true without prompts.
        separate: what a document is in plain text: a file, a paragraph or a line.
        end: the token behind each document; by default the tokenizer's eos_token.
        test: a folder with the test documents, in files or folders of the same names. Without it, a fixed part of the
            documents is held out for testing; of a single document its last part.
        test_fraction: share of the documents that is held out.
    """
    reader = _reader(tokenizer, max_length, text, prompt, pack, separate, end, chat)
    where = Location.of(path)
    parts = _experiences(where)
    tests = None if test is None else {part.name: part for part in _experiences(Location.of(test))}
    found = []
    for part in parts:
        apart = None
        if tests is not None:
            apart = next(iter(tests.values())) if len(parts) == len(tests) == 1 else tests.get(part.name)
            if apart is None:
                raise DataError(f"{test}: has no test documents for {part.name}")
        rows, held = reader.rows(part), None if apart is None else reader.rows(apart)
        train, held_out = _samples(reader, rows, held, test_fraction, part)
        found.append(Dataset(part.path, train, held_out, reader.vocabulary))
    return ListedExperiences("documents", found)


def blocks(
    store: IndexStore | None,
    path: str,
    tokenizer: str,
    max_length: int,
    text: str,
    prompt: str | None,
    pack: bool | None,
    separate: Literal["file", "paragraph", "line"],
    end: str | None,
    test: str | None,
    test_fraction: float,
    chat: str | None = None,
) -> Dataset | ExperienceDataset:
    """The same, read and packed by blocks of text when they are needed, for streams with `lanes`.

    Without `test`, sequences are held out, of each block the same share.

    Args:
        store: keeps the index of the blocks.

    Raises:
        DataError: beside what `load` raises: packed files.
    """
    reader = DocumentBlocks(_reader(tokenizer, max_length, text, prompt, pack, separate, end, chat))
    files = TableFiles.of(reader, path, test, test_fraction, reader.documents.vocabulary, None, "first")
    return load_blocks("documents", reader, files.learning("tokens", ()), store)


BLOCKS = blocks


def _reader(
    tokenizer: str,
    max_length: int,
    text: str,
    prompt: str | None,
    pack: bool | None,
    separate: Literal["file", "paragraph", "line"],
    end: str | None,
    chat: str | None = None,
) -> DocumentReader:
    if chat is not None and (prompt is not None or pack):
        raise DataError("dataset.chat: conversations stand alone: leave `prompt` and `pack` out")
    packed = prompt is None if pack is None else pack
    if packed and prompt is not None:
        raise DataError("dataset.pack: sequences with prompts stand alone: leave `pack` out, or `prompt`")
    return DocumentReader(tokenizer, max_length, text, prompt, packed, separate, end, chat)


def _experiences(where: Location) -> list[Location]:
    if not where.is_folder():
        return [where]
    return where.folders() or where.files(SUFFIXES)


def _samples(
    reader: DocumentReader, rows: Sequence[Row], held: Sequence[Row] | None, share: float, where: Location
) -> tuple[TensorSamples, TensorSamples]:
    """The sequences for training and for testing, from the cache if it has them.

    Args:
        held: the documents for testing; None: a share of the others.
    """

    def key() -> str:
        made = [reader.fingerprint, reader.template, reader.max_length, reader.packed]
        settings = ["documents", *made, share if held is None else None, len(rows)]
        return content_key(settings, [*reader.content(rows), *reader.content(held or ())])

    def make() -> tuple[NDArray[np.int32], ...]:
        documents = reader.encoded(rows)
        if held is None and reader.chat is not None and len(rows) == 1:
            raise DataError(f"{where.path}: one conversation cannot be divided: give a second one, or dataset.test")
        train, test = _divided(documents, share, where) if held is None else (documents, reader.encoded(held))
        return *reader.sequences(train), *reader.sequences(test)

    inputs, targets, *test = (torch.from_numpy(part) for part in cached_tokens(key, make))
    return TensorSamples(inputs, targets), TensorSamples(*test)


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
