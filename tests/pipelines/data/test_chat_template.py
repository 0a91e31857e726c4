"""Conversations by the tokenizer's own template: which tokens are learned, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.chat_template import answers_in, read_chat_template
from pipelines.data.datasets.documents import load
from tests.pipelines.models.pretrained import save_tiny_llama

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'user' %}the {{ message.content }} "
    "{% else %}was {{ message.content }} {{ eos_token }} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}was {% endif %}"
)


def say(*turns: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    save_tiny_llama(tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").write_text(TEMPLATE)
    return tmp_path / "base"


def dataset(base: Path, rows: list[Any], **options: Any) -> Any:
    file = base.parent / "talk.jsonl"
    file.write_text("".join(json.dumps({"talk": row}) + "\n" for row in rows))
    return load(str(file), tokenizer=str(base), max_length=12, chat="talk", **options)


def test_the_answers_of_a_conversation_are_learned_with_their_end(base: Path) -> None:
    two = say("film", "very good", "day", "dull")
    found = dataset(base, [two] * 4)
    inputs, targets = found.train(0).take(torch.arange(1))
    # [UNK] [END] a good bad film day the was not very dull
    spoken = [7, 5, 8, 10, 3, *_end(base), 7, 6, 8, 11, *_end(base)]
    learned = [False] * 3 + [True] * (2 + len(_end(base))) + [False] * 3 + [True] * (1 + len(_end(base)))
    wanted = [token if mark else -1 for token, mark in zip(spoken, learned, strict=True)][1:]
    assert inputs[0].tolist() == (spoken[:-1] + [-1] * 12)[:12]
    assert targets[0].tolist() == (wanted + [-1] * 12)[:12]


def _end(base: Path) -> list[int]:
    """What the tokenizer of words, which knows no special tokens, makes of [END]."""
    from pipelines.data.tokenizer_file import read_tokenizer

    return list(read_tokenizer(str(base)).encode("[END]", add_special_tokens=False).ids)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "row 1: talk must be a list of messages"),
        (say("film"), "row 1: talk has no answer"),
        ([{"role": "robot", "content": "a"}], "row 1: talk message 0 must have the role system, user, assistant"),
        ([{"role": "user", "content": None}], "row 1: talk message 0 has no text as content"),
        (say("a " * 20, "good"), "row 1: its first answer is behind 12 tokens"),
    ],
)
def test_what_is_no_conversation_is_said_with_its_row(base: Path, row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(base, [say("film", "good"), row])


def test_a_template_calls_no_code_and_must_be_there(base: Path) -> None:
    template = base / "chat_template.jinja"
    template.write_text("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(DataError, match="row 0: talk the tokenizer's chat template refuses it: access to attribute"):
        dataset(base, [say("film", "good")])
    template.write_text("{{ raise_exception('never') }}")
    with pytest.raises(DataError, match="refuses it: never"):
        read_chat_template(str(base))(say("a"))
    template.write_text("{% for")
    with pytest.raises(PipelineError, match="cannot be read"):
        read_chat_template(str(base))
    template.unlink()
    with pytest.raises(PipelineError, match="has no chat template"):
        read_chat_template(str(base))
    settings = {"eos_token": {"content": "E"}, "chat_template": "{{ messages | tojson }}{{ eos_token }}"}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    assert read_chat_template(str(base))([{"a": "ü"}]) == '[{"a": "ü"}]E'


def test_a_template_that_rewrites_the_past_takes_one_answer(base: Path) -> None:
    (base / "chat_template.jinja").write_text("{{ messages[-1].content }}{{ 'x' if add_generation_prompt }}")
    with pytest.raises(DataError, match="changes what came before"):
        answers_in(say("a", "b", "c", "d"), read_chat_template(str(base)))


def test_what_does_not_go_with_conversations_is_refused(base: Path) -> None:
    with pytest.raises(DataError, match="leave `prompt` and `pack` out"):
        dataset(base, [say("film", "good")], pack=True)
    with pytest.raises(DataError, match="one conversation cannot be divided"):
        dataset(base, [say("film", "good")])
