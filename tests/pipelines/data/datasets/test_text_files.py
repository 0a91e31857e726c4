"""Files of labelled texts, as tokens."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.text_files import TextReader, load

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, "good": 1, "bad": 2, "film": 3}, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


ROWS = [("good film", "yes"), ("bad", "no"), ("a bad film", "no"), ("good good good good", "yes")] * 3


def write(path: Path, rows: list[Any] = ROWS) -> Path:
    if ".csv" in path.name:
        content = "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)
    else:
        content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    data = content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.csv"])
def test_texts_become_padded_tokens_and_longer_ones_are_cut(folder: Path, name: str) -> None:
    dataset = load(str(write(folder / name)), tokenizer=str(folder), max_length=3)
    assert isinstance(dataset, Dataset)
    assert dataset.class_names == ("no", "yes")
    inputs, targets = dataset.train.take(torch.arange(len(dataset.train)))
    assert inputs.dtype == torch.int32
    expected = {(1, 3, -1): 1, (2, -1, -1): 0, (0, 2, 3): 0, (1, 1, 1): 1}
    assert {(tuple(row), target) for row, target in zip(inputs.tolist(), targets.tolist(), strict=True)} == set(
        expected.items()
    )


def test_a_folder_has_a_file_for_each_experience(folder: Path) -> None:
    (folder / "stream").mkdir()
    for number in (2, 10):
        write(folder / "stream" / f"day{number}.jsonl")
    dataset = load(str(folder / "stream"), tokenizer=str(folder))
    assert not isinstance(dataset, Dataset)
    assert [Path(dataset.source(k)).name for k in range(2)] == ["day2.jsonl", "day10.jsonl"]
    assert pickle.loads(pickle.dumps(dataset)).input_shape == (128,)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("good", "yes"), (None, "no")], "column 'text' has no text in row 1"),
        ([("good", "yes"), ("", "no")], "column 'text' is empty in row 1"),
    ],
)
def test_a_row_without_text_is_named(folder: Path, rows: list[Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        load(str(write(folder / "a.jsonl", rows)), tokenizer=str(folder))


def test_a_tokenizer_that_is_none_is_refused(folder: Path) -> None:
    file = write(folder / "a.jsonl")
    (folder / "empty").mkdir()
    with pytest.raises(PipelineError, match=r"dataset\.tokenizer: .* has no tokenizer\.json"):
        load(str(file), tokenizer=str(folder / "empty"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(PipelineError, match=r"dataset\.tokenizer: .* is no tokenizer"):
        load(str(file), tokenizer=str(folder))


def test_a_column_that_is_missing_is_named_with_its_option(folder: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.text"):
        load(str(write(folder / "a.jsonl")), tokenizer=str(folder), text="body")


def test_a_file_of_another_kind_is_refused() -> None:
    assert {".csv", ".jsonl", ".jsonl.gz"} <= set(TextReader("t", 4, "text", "label", None).suffix)
