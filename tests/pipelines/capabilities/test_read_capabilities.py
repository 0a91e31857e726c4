"""Items of capabilities from files, and what is said of wrong ones.

Covers: `pipelines/capabilities/capability_items.py`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.build import make_stream
from pipelines.capabilities.capability_items import ClassItem, TokenItem, WritingItem
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError
from tests.pipelines.models.pretrained import save_tiny_bert, save_tiny_llama

CHOICE = {"prompt": "the film was", "choices": ["good", "very bad"], "answer": "very bad"}
LANGUAGE = """
name: language
objective: next-token
stream:
  dataset: {{name: documents, path: "{root}/stream", tokenizer: "{root}/base", max_length: 6, separate: line}}
  setting: domain-incremental
model: {{name: transformers, pretrained: "{root}/base", head: causal-lm}}
"""


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("capabilities")
    save_tiny_llama(root / "base")
    save_tiny_bert(root / "bert")
    (root / "stream").mkdir()
    (root / "stream" / "films.txt").write_text("the film was very good\n" * 10)
    return root


def items_of(root: Path, kind: str, rows: list[Any], text: str = LANGUAGE) -> Any:
    data = write(root / "items.jsonl", rows)
    listed = f"capabilities: [{{name: one, kind: {kind}, data: '{data}'}}]\n"
    return make_stream(load_text(text.format(root=root) + listed)).capabilities[0].items


def test_choices_count_behind_their_prompt(root: Path) -> None:
    (item,) = items_of(root, "multiple-choice", [CHOICE])
    assert isinstance(item, TokenItem) and item.right == 1
    # [UNK] [END] a good bad film day the was not very dull
    assert item.inputs.tolist() == [[7, 5, 8, -1], [7, 5, 8, 10]]
    assert item.targets.tolist() == [[-1, -1, 3, -1], [-1, -1, 10, 4]]


def test_a_language_model_chooses_among_the_labels_of_the_file(root: Path) -> None:
    rows = [{"text": "the film was", "label": label} for label in ("good", "bad")]
    first, second = items_of(root, "classification", rows)
    assert (first.right, second.right) == (1, 0) and first.targets.tolist() == [[-1, -1, 4], [-1, -1, 3]]
    assert first.inputs.tolist() == second.inputs.tolist()


def test_a_text_is_read_in_parts_behind_the_end_of_the_one_before(root: Path) -> None:
    (item,) = items_of(root, "perplexity", [{"text": "a good bad film day the was"}])
    assert item.right is None
    assert item.inputs.tolist() == [[1, 2, 3, 4, 5, 6], [7, -1, -1, -1, -1, -1]]
    assert item.targets.tolist() == [[2, 3, 4, 5, 6, 7], [8, -1, -1, -1, -1, -1]]


def test_an_answer_is_written_in_what_the_model_takes(root: Path) -> None:
    (item,) = items_of(root, "generation-exact", [{"prompt": "the film was", "answer": " good "}])
    assert isinstance(item, WritingItem) and (item.prompt, item.answer, item.longest) == ((7, 5, 8), "good", 4)


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("multiple-choice", {"prompt": "a"}, "choices must be a list of texts, got None"),
        ("multiple-choice", {**CHOICE, "choices": ["a"]}, "choices must be two or more"),
        ("multiple-choice", {**CHOICE, "choices": ["a", "a"]}, "choices must be two or more different texts"),
        ("multiple-choice", {**CHOICE, "answer": 2}, "answer must be one of the choices, or its place from 0, got 2"),
        ("multiple-choice", {**CHOICE, "answer": True}, "answer must be one of the choices"),
        ("multiple-choice", {**CHOICE, "prompt": "a a a a a a"}, "has 7 tokens, and dataset.max_length is 6"),
        ("generation-exact", {"prompt": "a", "answer": "a\nb"}, "answer must be one line"),
        ("generation-exact", {"prompt": "a"}, "answer must be a text, got none"),
        ("classification", {"text": "a", "label": 3}, "label must be a text, got 3"),
        ("perplexity", {"text": " "}, "text must be a text, got ' '"),
        ("perplexity", ["text"], "must be a JSON object"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_row(root: Path, kind: str, row: Any, message: str) -> None:
    good = {**CHOICE, "text": "a", "label": "b", "answer": 0} if kind != "generation-exact" else CHOICE
    with pytest.raises(DataError) as raised:
        items_of(root, kind, [good, row])
    assert str(raised.value).startswith(f"{root}/items.jsonl: row 1") and message in str(raised.value)


def test_a_file_must_be_there_and_of_its_format(root: Path) -> None:
    with pytest.raises(DataError, match="a classification needs two or more"):
        items_of(root, "classification", [{"text": "a", "label": "b"}])
    (root / "broken.jsonl").write_text('{"text": "a"}\n{"text"\n')
    for name, message in (
        ("none.jsonl", "no such file"),
        ("x.csv", "JSON Lines"),
        ("broken.jsonl", "row 1 is no JSON"),
    ):
        listed = f"capabilities: [{{name: one, kind: perplexity, data: '{root}/{name}'}}]\n"
        with pytest.raises(DataError, match=message):
            make_stream(load_text(LANGUAGE.format(root=root) + listed))


TEXTS = """
name: reviews
stream:
  dataset: {{name: text, path: "{root}/reviews", tokenizer: "{root}/bert", max_length: 5}}
  setting: domain-incremental
model: {{name: transformers, pretrained: "{root}/bert"}}
"""
TABLE = """
name: table
stream:
  dataset: {{name: jsonl, path: "{root}/table", label: kind, features: auto}}
  setting: domain-incremental
model: {{name: tabular-mlp}}
"""
IMAGES = """
name: digits
stream: {{dataset: digits, experiences: 2}}
model: {{name: mlp, hidden: [4]}}
"""


def test_classifiers_are_asked_what_their_dataset_holds(root: Path) -> None:
    for name, rows in (
        ("reviews", [{"text": "good film", "label": "good"}, {"text": "bad film", "label": "bad"}] * 5),
        ("table", [{"size": 1.5, "colour": "red", "kind": "a"}, {"size": 2.5, "colour": "blue", "kind": "b"}] * 5),
    ):
        (root / name).mkdir(exist_ok=True)
        write(root / name / "first.jsonl", rows)
    (item,) = items_of(root, "classification", [{"text": "the film", "label": "good"}], TEXTS)
    assert isinstance(item, ClassItem) and (item.inputs.tolist(), item.unit) == ([[7, 5, -1, -1, -1]], 1)
    (item,) = items_of(root, "classification", [{"size": 2.5, "colour": "red", "kind": "b"}], TABLE)
    assert item.unit == 1 and item.inputs.shape[0] == 1
    with pytest.raises(DataError, match=r"row 0: kind must be one of the classes \(a, b\), got 'c'"):
        items_of(root, "classification", [{"size": 2.5, "colour": "red", "kind": "c"}], TABLE)
    (item,) = items_of(root, "classification", [{"inputs": [[[255] * 8] * 8], "label": 3}], IMAGES)
    assert (item.unit, tuple(item.inputs.shape), str(item.inputs.dtype)) == (3, (1, 1, 8, 8), "torch.uint8")
    with pytest.raises(DataError, match="row 0: label must be an output unit, 0 to 9, got 10"):
        items_of(root, "classification", [{"inputs": [[[1] * 8] * 8], "label": 10}], IMAGES)
    with pytest.raises(DataError, match="row 0: the lists in inputs differ in length"):
        items_of(root, "classification", [{"inputs": [[1, 2], [1]], "label": 1}], IMAGES)
