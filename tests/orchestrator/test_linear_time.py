"""Whatever text stands in a pipeline file or in an error, its length costs linear time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from orchestrator.progress.printable import printable, printable_json
from orchestrator.redact import redact
from pipelines.config.document import Document, KeyPath, one_line
from pipelines.config.environment_variables import substitute
from pipelines.config.exponent_notation import exponent
from pipelines.config.load import load_text
from pipelines.config.masking import mask, mask_value, show
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.shorthand import write_out
from pipelines.config.validation import pipeline_of

MIB = 1 << 20
FILE = """
name: small
stream: {dataset: {name: npz, path: x.npz}, transform: {name: permute}, setting: domain-incremental, experiences: 2}
model: {name: mlp, hidden: [8]}
strategy: [{name: ewc, lambda: 1}, {name: replay, capacity: 10}]
train: {epochs: 1, batch_size: 64, optimizer: {name: sgd, lr: 0.1}, scheduler: {name: StepLR, step_size: 3}, clip: 1.0}
scaling: {workers: 1, resources: {CPU: 1}}
storage: store
tracking: {uri: "http://host:5000", experiment: small}
cluster: {address: "http://host:8265"}
tune: {metric: average_accuracy, trials: 2, space: {train.optimizer.lr: {choice: [0.1, 0.2]}}}
"""
PIECES = [
    *(
        "a",
        "a.",
        "a://",
        "a:b@",
        "@",
        ":",
        "secret",
        "secret=",
        "token: ",
        "token=x ",
        "passwd",
        "access_key",
        "<secret>",
    ),
    *(
        "basic ",
        "bearer 1",
        "AKIA",
        "AWS4-HMAC-SHA256 ",
        "'",
        '"',
        "=",
        "${",
        "${A:-",
        "$",
        " ",
        "\n",
        "\x1b[",
        "é",
        "1",
    ),
    *("\x1b[2J ", "1e", "a://b:c@d ", "signature=x&", "a:" * 10 + "@:", "://", "x" * 70 + "secret" + "x" * 70),
]
FUNCTIONS: list[Callable[[str], object]] = [
    *(mask, mask_value, show, one_line, redact, printable, printable_json, exponent)
]


def seconds(work: Callable[[str], object], piece: str, length: int) -> float:
    text = piece * (length // len(piece))
    started = time.process_time()
    work(text)
    return time.process_time() - started


def assert_linear(work: Callable[[str], object], piece: str = "a", longest: int = MIB) -> None:
    """Eight times the text costs 8 times the time if it is linear, and 64 times if it is quadratic."""
    # From short to long: a mebibyte of what is quadratic would take hours.
    before = seconds(work, piece, longest >> 9)
    for length in (longest >> 6, longest >> 3, longest):
        now = seconds(work, piece, length)
        # Times below a few milliseconds are those of the clock.
        assert now < 24 * max(before, 0.005)
        before = now


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
@pytest.mark.parametrize("work", FUNCTIONS, ids=lambda work: work.__name__)
def test_text_of_a_mebibyte(work: Callable[[str], object], piece: str) -> None:
    assert_linear(work, piece)


def document() -> Document:
    made = Document("p.yaml", load_text(FILE).to_document())
    write_out(made)
    return made


def leaves(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path


@pytest.mark.parametrize("path", list(leaves(document().data)), ids=lambda path: ".".join(map(str, path)))
def test_a_field_of_a_mebibyte(path: KeyPath) -> None:
    def check(text: str) -> None:
        for as_key in (False, True):
            read = document()
            above: Any = read.get(path[:-1])
            if as_key and isinstance(above, dict):
                above[text] = above.pop(path[-1])
            else:
                above[path[-1]] = text
            try:
                substitute(read)
                pipeline_of(read)
                redact(str(read.error()))
            except PipelineError as error:
                redact(str(error))

    assert_linear(check)


@pytest.mark.parametrize("piece", ["# a comment\n", "\r\n", "a", "'", "k: 1\n", "text: |\n  a\n"], ids=ascii)
def test_a_whole_file_up_to_the_limit(piece: str) -> None:
    """A file that is read to its end, or to its 100,000th value: an eighth of it costs an eighth, or no more."""

    def check(text: str) -> None:
        with suppress(PipelineError):
            load_text(FILE + text[: MIB - len(FILE)])

    short = seconds(check, piece, MIB >> 3)
    assert seconds(check, piece, MIB) < 24 * max(short, 0.005)


@pytest.mark.parametrize("piece", ["a", "1", "1:", "a: ", "- ", "'", "1e", "0x1", "\\x1b", "1_"])
def test_a_file_of_a_mebibyte(piece: str) -> None:
    def check(text: str) -> None:
        for file in (f"name: {text}", f"seed: {text}\nstream: {{}}", text):
            with pytest.raises(PipelineError):
                load_text(file)
        with pytest.raises(PipelineError):
            load_text(FILE, overrides=[f"seed={text}", f"{text}=1", text])

    # The limit of a file is a mebibyte; the YAML reader takes seconds for it.
    assert_linear(check, piece, 1 << 17)
