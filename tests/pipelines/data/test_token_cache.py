"""The cache of tokens: what a tokenizer would make, or it is made again; for texts in memory and in lanes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.data import token_cache
from pipelines.data.datasets import documents, text_files
from pipelines.data.datasets.document_reader import DocumentReader
from pipelines.data.datasets.text_files import TextReader
from pipelines.data.disk_cache import DiskCache
from pipelines.data.token_cache import LIMIT, cached_tokens, content_key
from tests.pipelines.models.pretrained import save_word_tokenizer

ROWS = ["a good day", "the film was dull", "bad day", "not very good a a a", "very dull"]
Sequences = arrays(
    np.int32, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.integers(-1, 2**31 - 2) | st.integers(-1, 3)
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the cache, which is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(DiskCache, "_written", {})
    return tmp_path / "cache" / "everlearn" / "tokens"


@given(st.lists(Sequences, min_size=1, max_size=3))
def test_what_is_kept_is_what_was_made(made: list[Any]) -> None:
    for array, again in zip(made, token_cache._unpacked(token_cache._packed(made)), strict=True):
        assert again.dtype == np.int32 and again.shape == array.shape and (again == array).all()
        assert again.flags.writeable  # torch takes it as it is


def cases(base: str, tmp_path: Path) -> dict[str, Any]:
    """How the tokens of each kind of dataset are read: a function of nothing to a list of tensors."""
    lines, talk, labelled = tmp_path / "lines.txt", tmp_path / "talk.jsonl", tmp_path / "labelled.jsonl"
    lines.write_text("\n".join(ROWS) + "\n")
    (Path(base) / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }} {% endfor %}")
    turns = [[{"role": "user", "content": "the"}, {"role": "assistant", "content": row}] for row in ROWS]
    talk.write_text("".join(json.dumps({"talk": one}) + "\n" for one in turns))
    labelled.write_text("".join(json.dumps({"text": row, "label": n % 2}) + "\n" for n, row in enumerate(ROWS)))

    def read(file: Path, lanes: bool, **options: Any) -> Any:
        given = {"tokenizer": base, "max_length": 6, "text": "text", "prompt": None, "pack": None, "separate": "line",
                 "end": None, "test": None, "test_fraction": 0.3, "chat": None} | options  # fmt: skip
        made: Any = documents.blocks(None, str(file), **given) if lanes else documents.load(str(file), **given)
        samples = made.train if lanes else made.train(0)
        return samples.take(torch.arange(len(samples)))

    def text() -> Any:
        made: Any = text_files.load(str(labelled), tokenizer=base, max_length=6)
        return made.train.take(torch.arange(len(made.train)))

    return {
        "documents": lambda: read(lines, False),
        "documents in lanes": lambda: read(lines, True),
        "conversations": lambda: read(talk, False, chat="talk"),
        "conversations in lanes": lambda: read(talk, True, chat="talk"),
        "text": text,
    }


@pytest.mark.parametrize("kind", ["documents", "documents in lanes", "conversations", "conversations in lanes", "text"])
def test_no_text_is_made_tokens_twice_and_damage_is_noticed(
    kind: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = cases(str(save_word_tokenizer(tmp_path / "base")), tmp_path)[kind]
    monkeypatch.setenv(LIMIT, "0")
    wanted = read()
    assert not folder.exists()
    monkeypatch.setenv(LIMIT, "1")
    read()
    files = list(folder.glob("*/*"))
    assert files

    def never(*given: Any) -> Any:
        raise AssertionError("made again")

    with monkeypatch.context() as patched:
        patched.setattr(DocumentReader, "encoded", never)
        patched.setattr(TextReader, "_encoder", property(lambda self: _Fingerprint(self)))
        assert all(map(torch.equal, read(), wanted))
    for file in files:
        data = file.read_bytes()
        file.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    assert all(map(torch.equal, read(), wanted))
    assert all(map(torch.equal, read(), wanted))
    assert {file.name for file in folder.glob("*/*")} == {file.name for file in files}


class _Fingerprint:
    """A tokenizer that says what it is, and makes no tokens."""

    def __init__(self, reader: TextReader) -> None:
        from pipelines.data.tokenizer_file import read_tokenizer

        self._encoder = read_tokenizer(reader.tokenizer)
        self._encoder.enable_truncation(reader.max_length)

    def to_str(self) -> str:
        return str(self._encoder.to_str())


def test_all_that_decides_tokens_is_in_the_key() -> None:
    keys = [
        content_key(["a", 4], b"text"), content_key(["a", 5], b"text"), content_key(["b", 4], b"text"),
        content_key(["a", 4], b"texts"), content_key(["a", 4], ["text"]), content_key(["a", 4], ["te", "xt"]),
        content_key(["a", 4], [("", "text")]),
    ]  # fmt: skip
    assert len({*keys}) == len(keys)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from pipelines.data.token_cache import cached_tokens

Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cached_tokens(lambda: "key", lambda: [np.zeros((4, 4), dtype=np.int32)])
"""


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_that_is_used(folder: Path) -> None:
    # The last moment before the file gets its name.
    killed = subprocess.run([sys.executable, "-c", KILLED], env={**os.environ}, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = folder.glob("*/.*.partial")
    made = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert (cached_tokens(lambda: "key", lambda: [made])[0] == made).all()
    os.utime(left, (1, 1))  # a day later
    DiskCache._written.clear()
    cached_tokens(lambda: "other", lambda: [made])
    assert not left.exists() and len([*folder.glob("*/*")]) == 2
