"""Capabilities from their files. What is wrong is said with the file and the row, counted from 0."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pipelines.capabilities.capability_items import (
    CapabilitySet,
    ClassItem,
    Item,
    TokenItem,
    WritingItem,
    choices_item,
    document_item,
)
from pipelines.config.components import resolve
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.config.sections.capability_section import CapabilitySpec
from pipelines.data.datasets.jsonl_files import SUFFIXES
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.text_tables import text_of

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream

MOST_ITEMS = 10_000
"""Items of a set: what was answered is kept in each commit."""

# An answer may be written in more tokens than the tokenizer would take for it.
_LONGER = 8
Row = dict[str, Any]


def with_capabilities(pipeline: Pipeline, stream: Stream) -> Stream:
    """The stream with the items of the pipeline's capabilities, so that they go where it goes.

    Raises:
        DataError: a file is missing, or an item is wrong.
        PipelineError: the dataset has no tokenizer.
    """
    listed = pipeline.capabilities or []
    if listed:
        language = resolve("objectives", pipeline.objective.name).targets == "tokens"
        read: Callable[[CapabilitySpec], CapabilitySet] = (
            LanguageReader(pipeline, stream).read if language else ClassReader(pipeline, stream).read
        )
        stream.capabilities = tuple(read(spec) for spec in listed)
    return stream


class LanguageReader:
    """Items for a language model, by the tokenizer of its documents."""

    def __init__(self, pipeline: Pipeline, stream: Stream) -> None:
        from pipelines.data.tokenizer_file import end_token, read_tokenizer

        options = pipeline.stream.dataset.options
        name, end = options.get("tokenizer"), options.get("end")
        if not isinstance(name, str):
            raise PipelineError("capabilities: a language model needs a tokenizer: use the dataset `documents`")
        self._name, self._encoder = name, read_tokenizer(name)
        self._encoder.no_truncation()
        self._end = end_token(name, self._encoder, end if isinstance(end, str) else None)
        self._length = stream.input_shape[0]

    def read(self, spec: CapabilitySpec) -> CapabilitySet:
        rows, digest = read_rows(spec.data)
        if spec.kind == "classification":
            labels = sorted({_text(row, "label", where) for row, where in _numbered(rows, spec)})
            if len(labels) < 2:
                raise DataError(f"{spec.data}: has only the label {labels[0]!r}: a classification needs two or more")
        items: list[Item] = []
        for row, where in _numbered(rows, spec):
            if spec.kind == "classification":
                items.append(self._among(_text(row, "text", where), labels, labels.index(row["label"]), where))
            elif spec.kind == "multiple-choice":
                items.append(self._choices(row, where))
            elif spec.kind == "perplexity":
                items.append(self._document(row, where))
            else:
                items.append(self._writing(row, where))
        tokenizer = self._name if spec.kind == "generation-exact" else ""
        return CapabilitySet(spec.name, spec.kind, spec.margin, digest, tuple(items), tokenizer, self._end)

    def _choices(self, row: Row, where: str) -> TokenItem:
        prompt, choices, answer = _text(row, "prompt", where), row.get("choices"), row.get("answer")
        if not isinstance(choices, list) or not all(isinstance(one, str) and one.strip() for one in choices):
            raise DataError(f"{where}: choices must be a list of texts, got {_short(choices)}")
        if len(choices) < 2 or len(set(choices)) < len(choices):
            raise DataError(f"{where}: choices must be two or more different texts, got {_short(choices)}")
        if isinstance(answer, str) and answer in choices:
            answer = choices.index(answer)
        if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
            raise DataError(f"{where}: answer must be one of the choices, or its place from 0, got {_short(answer)}")
        return self._among(prompt, choices, answer, where)

    def _among(self, prompt: str, choices: list[str], right: int, where: str) -> TokenItem:
        first = self._tokens(prompt, where)
        glue = "" if prompt[-1].isspace() else " "
        found = [self._tokens(choice if choice[0].isspace() else glue + choice, where) for choice in choices]
        self._check_length(len(first) + max(map(len, found)) - 1, where)
        return choices_item(first, found, right)

    def _writing(self, row: Row, where: str) -> WritingItem:
        prompt, answer = _text(row, "prompt", where), _text(row, "answer", where).strip()
        if "\n" in answer:
            raise DataError(f"{where}: answer must be one line: generation ends at the end of a line")
        tokens, needed = self._tokens(prompt, where), len(self._tokens(answer, where))
        self._check_length(len(tokens) + needed, where)
        return WritingItem(tuple(tokens), answer, min(needed + _LONGER, self._length - len(tokens) + 1))

    def _document(self, row: Row, where: str) -> TokenItem:
        return document_item(self._tokens(_text(row, "text", where), where), self._length, self._end)

    def _tokens(self, text: str, where: str) -> list[int]:
        found = self._encoder.encode(text, add_special_tokens=False).ids
        if not found:
            raise DataError(f"{where}: {_short(text)} has no tokens")
        return list(found)

    def _check_length(self, length: int, where: str) -> None:
        if length > self._length:
            raise DataError(f"{where}: has {length} tokens, and dataset.max_length is {self._length}: shorten it")


class ClassReader:
    """Items for a classifier, made as the inputs of its dataset."""

    def __init__(self, pipeline: Pipeline, stream: Stream) -> None:
        from pipelines.data.model_inputs import ModelInputs

        self._stream, options = stream, pipeline.stream.dataset.options
        self._inputs = ModelInputs.of_dataset(stream.input_shape, stream.preprocessing, options, stream.images)
        label = options.get("label")
        self._label = label if isinstance(label, str) and stream.preprocessing is not None else "label"
        self._tokens: Callable[[str, str], torch.Tensor] | None = None
        if pipeline.stream.dataset.name == "text":
            self._tokens = _text_inputs(options, stream.input_shape[0])

    def read(self, spec: CapabilitySpec) -> CapabilitySet:
        rows, digest = read_rows(spec.data)
        items = [
            ClassItem(self._input(row, where, spec.data, number), self._unit(row, where))
            for number, (row, where) in enumerate(_numbered(rows, spec))
        ]
        return CapabilitySet(spec.name, spec.kind, spec.margin, digest, tuple(items))

    def _unit(self, row: Row, where: str) -> int:
        label, names = row.get(self._label), self._stream.unit_names
        if names is not None:
            if str(label) in names:
                return names.index(str(label))
            known = ", ".join(names[:10])
            raise DataError(f"{where}: {self._label} must be one of the classes ({known}), got {_short(label)}")
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < self._stream.outputs:
            last = self._stream.outputs - 1
            raise DataError(f"{where}: {self._label} must be an output unit, 0 to {last}, got {_short(label)}")
        return label

    def _input(self, row: Row, where: str, path: str, number: int) -> torch.Tensor:
        import pyarrow

        if self._tokens is not None:
            return self._tokens(_text(row, "text", where), where)
        if "inputs" in row and self._inputs.preprocessing is None and self._inputs.images is None:
            try:
                found = np.asarray([row["inputs"]])
            except ValueError as error:
                raise DataError(f"{where}: the lists in inputs differ in length") from error
            return self._inputs.of_array(found, where).to(self._dtype)
        columns = {name: [value] for name, value in row.items() if name != self._label}
        try:
            table = pyarrow.table(columns)
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where}: {str(error).strip().partition(chr(10))[0]}") from error
        return self._inputs.of_table(table, path, number, text=True)

    @cached_property
    def _dtype(self) -> torch.dtype:
        """That of the inputs as the dataset stores them."""
        return self._stream[0].test.take(torch.arange(1))[0].dtype


def read_rows(path: str) -> tuple[list[Row], str]:
    """The rows of a JSON Lines file, and the SHA-256 of its content.

    Raises:
        DataError: it is missing, empty, too long, or a row is no JSON object.
    """
    location = Location.of(path)
    if not location.name.lower().endswith(SUFFIXES):
        raise DataError(f"{path}: items of a capability are in a file of JSON Lines: {', '.join(SUFFIXES)}")
    data = text_of(location)
    rows: list[Row] = []
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: row {len(rows)} is no JSON: {error}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {len(rows)} must be a JSON object, got {_short(row)}")
        rows.append(row)
    if len(rows) > MOST_ITEMS:
        raise DataError(f"{path}: has {len(rows):,} items, and a set {MOST_ITEMS:,} at most: take a part of them")
    return rows, hashlib.sha256(data).hexdigest()


def _numbered(rows: list[Row], spec: CapabilitySpec) -> Iterator[tuple[Row, str]]:
    return ((row, f"{spec.data}: row {number}") for number, row in enumerate(rows))


def _text(row: Row, key: str, where: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key} must be a text, got {_short(value) if key in row else 'none'}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text_inputs(options: Any, length: int) -> Callable[[str, str], torch.Tensor]:
    """Texts as the tokens of the dataset `text`."""
    from pipelines.data.packing import PADDING
    from pipelines.data.tokenizer_file import read_tokenizer

    encoder = read_tokenizer(options["tokenizer"])
    encoder.enable_truncation(length)

    def inputs(text: str, where: str) -> torch.Tensor:
        found = encoder.encode(text).ids
        if not found:
            raise DataError(f"{where}: {_short(text)} has no tokens")
        return torch.tensor([[*found, *[PADDING] * (length - len(found))]], dtype=torch.int32)

    return inputs
