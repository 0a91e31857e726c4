"""Conversations as text, by the chat template of a model's tokenizer; what is learned of them are the answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.tokenizer_file import KEY
from pipelines.models.pretrained_folder import EXTRA, pretrained_folder

ROLES = ("system", "user", "assistant")
Message = dict[str, str]
Render = Callable[..., str]


def read_chat_template(name: str) -> Render:
    """A function of messages, and of whether the beginning of an answer follows, to text.

    The template is that of the folder, in chat_template.jinja or tokenizer_config.json. It is rendered in Jinja's
    sandbox, as transformers does it: it can call no code.

    Raises:
        PipelineError: the folder has none, or it is no template.
    """
    try:
        from jinja2 import TemplateError
        from jinja2.ext import loopcontrols
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ModuleNotFoundError as error:
        raise PipelineError(f"dataset.chat: conversations need the package jinja2: {EXTRA}") from error

    text, tokens = _template(pretrained_folder(name, KEY))
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment.globals["raise_exception"] = refuse
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    try:
        template = environment.from_string(text)
    except TemplateError as error:
        raise PipelineError(f"{KEY}: its chat template cannot be read: {error}") from error

    def render(messages: Sequence[Message], *, answer: bool = False) -> str:
        try:
            return str(template.render(messages=messages, add_generation_prompt=answer, **tokens))
        except TemplateError as error:
            raise DataError(f"the tokenizer's chat template refuses it: {error}") from error

    return render


def template_digest(name: str) -> str:
    """SHA-256 (hex) of the template, and of the tokens that it may name. Raises PipelineError: there is none."""
    return hashlib.sha256(json.dumps(_template(pretrained_folder(name, KEY)), sort_keys=True).encode()).hexdigest()


def answers_in(messages: Any, render: Render) -> tuple[str, list[tuple[int, int]]]:
    """A conversation as text, and where its answers stand in it: from and to.

    An answer is what the template puts behind the beginning of an answer, its end mark included.

    Raises:
        DataError: it is no conversation, or the template changes what came before an answer.
    """
    _check(messages)
    whole, spans = render(messages), []
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before, after = render(messages[:place], answer=True), render(messages[: place + 1])
        if not whole.startswith(after) or not after.startswith(before):
            raise DataError("the tokenizer's chat template changes what came before: give conversations of one answer")
        spans.append((len(before), len(after)))
    return whole, spans


def _check(messages: Any) -> None:
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise DataError('must be a list of messages, such as [{"role": "user", "content": "Hello"}, ...]')
    for number, one in enumerate(messages):
        if one.get("role") not in ROLES:
            raise DataError(f"message {number} must have the role {', '.join(ROLES)}, got {one.get('role')!r}")
        if not isinstance(one.get("content"), str):
            raise DataError(f"message {number} has no text as content")
    if not any(one["role"] == "assistant" for one in messages):
        raise DataError("has no answer (role assistant), so that nothing is learned of it")


def _template(folder: Path) -> tuple[str, dict[str, str]]:
    """The template, and the tokens that it may name."""
    file, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    try:
        found = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    except ValueError as error:
        raise PipelineError(f"{KEY}: {settings} is no JSON: {error}") from error
    text = file.read_text(encoding="utf-8") if file.is_file() else found.get("chat_template")
    if not isinstance(text, str):
        raise PipelineError(
            f"dataset.chat: {folder} has no chat template (chat_template.jinja): use the tokenizer of a model that was "
            "trained on conversations, or dataset.prompt"
        )
    named = {key: found.get(key) for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
    contents = {key: one.get("content") if isinstance(one, dict) else one for key, one in named.items()}
    return text, {key: one for key, one in contents.items() if isinstance(one, str)}
