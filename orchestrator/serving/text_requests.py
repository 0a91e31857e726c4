"""What a request asks of a language model: the likelihood of documents, or the continuation of prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.serving.request_body import JSON_TYPES, WHERE, Question, check_count, parsed_json
from pipelines.config.pipeline_errors import DataError

if TYPE_CHECKING:
    from pipelines.data.datasets.document_reader import Document, DocumentReader

FORMS = ("documents", "rows", "prompt")
MOST_PROMPTS = 64
"""Prompts that one request may have: writing takes a pass through the model for each new token."""
MOST_NEW = 4096
"""New tokens that a request may ask for."""
USUAL_NEW = 64
"""The most new tokens where a request gives no number."""


@dataclass(frozen=True)
class ToScore:
    """Documents, as tokens."""

    documents: list[Document]


@dataclass(frozen=True)
class ToContinue:
    """Prompts, as tokens, and how many new ones each may get."""

    prompts: list[list[int]]
    most: list[int]


def read_request(question: Question, reader: DocumentReader) -> ToScore | ToContinue:
    """What a request asks.

    Args:
        reader: of the dataset that the model was trained on.

    Raises:
        DataError: it cannot be read, or does not fit the model.
    """
    if question.content_type not in JSON_TYPES:
        raise DataError(f"{WHERE}: a language model takes JSON, got {question.content_type}")
    document = parsed_json(question.body)
    given = [name for name in FORMS if isinstance(document, dict) and name in document]
    if len(given) != 1:
        raise DataError(
            f'{WHERE}: must be an object with one of documents, rows and prompt, such as {{"documents": ["a text"]}} '
            'or {"prompt": "a text", "max_new_tokens": 20}'
        )
    (form,) = given
    unknown = sorted(set(document) - {form} - ({"max_new_tokens"} if form == "prompt" else set()))
    if unknown:
        raise DataError(f"{WHERE}: has unknown keys: {', '.join(unknown[:5])}")
    if form == "prompt":
        return _to_continue(document["prompt"], document.get("max_new_tokens", USUAL_NEW), reader)
    texts = document[form]
    if not isinstance(texts, list) or not texts:
        raise DataError(f"{WHERE}: {form} must be a list of one or more")
    check_count(len(texts))
    if form == "rows":
        return ToScore(reader.encoded([_row(number, row, reader) for number, row in enumerate(texts)]))
    if reader.prompt is not None:
        raise DataError(
            f"{WHERE}: the model learned texts behind prompts: send rows with the columns {reader.prompt!r} and "
            f"{reader.text!r}"
        )
    return ToScore(reader.encoded([("", _text(text, f"document {number}")) for number, text in enumerate(texts)]))


def _to_continue(prompt: Any, most: Any, reader: DocumentReader) -> ToContinue:
    prompts = prompt if isinstance(prompt, list) else [prompt]
    if not 0 < len(prompts) <= MOST_PROMPTS:
        raise DataError(f"{WHERE}: prompt must be a text, or a list of 1 to {MOST_PROMPTS} texts, has {len(prompts)}")
    if type(most) is not int or not 1 <= most <= MOST_NEW:
        raise DataError(f"{WHERE}: max_new_tokens must be a whole number from 1 to {MOST_NEW}")
    encoded = reader.encoded([("", _text(text, f"prompt {number}")) for number, text in enumerate(prompts)])
    for number, (_, tokens) in enumerate(encoded):
        if not 1 <= len(tokens) <= reader.max_length:
            raise DataError(
                f"{WHERE}: prompt {number} has {len(tokens)} tokens, and the model reads 1 to {reader.max_length}"
            )
    # The last token that is written need not be read.
    limits = [min(most, reader.max_length - len(tokens) + 1) for _, tokens in encoded]
    return ToContinue([tokens for _, tokens in encoded], limits)


def _row(number: int, row: Any, reader: DocumentReader) -> tuple[str, str]:
    if not isinstance(row, dict):
        raise DataError(f"{WHERE}: row {number} must be an object of columns, got {type(row).__name__}")
    columns = {name: row.get(name) for name in (reader.prompt, reader.text) if name is not None}
    texts = {name: _text(value, f"column {name!r} of row {number}") for name, value in columns.items()}
    return "" if reader.prompt is None else texts[reader.prompt], texts[reader.text]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{WHERE}: {what} must be a text, got {type(value).__name__}")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise DataError(f"{WHERE}: {what} has half of a character, \\ud800 to \\udfff")
    return value
