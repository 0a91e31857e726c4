"""Tokenizers from a pretrained model's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.pretrained_folder import EXTRA, pretrained_folder

KEY = "dataset.tokenizer"


def read_tokenizer(name: str) -> Any:
    """The `tokenizers.Tokenizer` of a folder with tokenizer.json, or of a hub id, without padding.

    Raises:
        PipelineError: there is none, or tokenizers is not installed.
    """
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise PipelineError(f"dataset: texts need the package tokenizers: {EXTRA}") from error
    file = _file(name)
    try:
        encoder = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises Exception itself
        raise PipelineError(f"{KEY}: {file} is no tokenizer: {error}") from error
    encoder.no_padding()
    return encoder


def end_token(name: str, encoder: Any, given: str | None) -> int:
    """The number of the token that ends a document.

    Args:
        given: the token; None: `eos_token` of tokenizer_config.json beside the tokenizer.

    Raises:
        PipelineError: none is known, or the tokenizer does not have it.
    """
    token = given
    file = _file(name).with_name("tokenizer_config.json")
    if token is None and file.is_file():
        try:
            found = json.loads(file.read_text()).get("eos_token")
        except (ValueError, AttributeError) as error:
            raise PipelineError(f"{KEY}: {file} is no JSON object: {error}") from error
        token = found.get("content") if isinstance(found, dict) else found
    if not isinstance(token, str):
        raise PipelineError(f"{KEY}: {file} names no eos_token: set dataset.end to the token that ends a document")
    number = encoder.token_to_id(token)
    if number is None:
        raise PipelineError(f"dataset.end: the tokenizer has no token {token!r}")
    return int(number)


def _file(name: str) -> Path:
    file = pretrained_folder(name, KEY) / "tokenizer.json"
    if not file.is_file():
        raise PipelineError(f"{KEY}: {file.parent} has no tokenizer.json: save a fast tokenizer there")
    return file
