"""Documents as sequences of tokens: which experience they are in, and what is learned of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import DataError, PipelineError
from pipelines.data.datasets.documents import load
from pipelines.data.datasets.listed_experiences import ListedExperiences
from pipelines.data.streams import Stream
from tests.pipelines.models.pretrained import save_tiny_llama


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("base"))


def tokens(dataset: ListedExperiences, index: int, *, test: bool = False) -> tuple[list[Any], list[Any]]:
    samples = dataset.test(index) if test else dataset.train(index)
    inputs, targets = samples.take(torch.arange(len(samples)))
    assert inputs.dtype == targets.dtype == torch.int32
    return inputs.tolist(), targets.tolist()


def test_each_file_is_an_experience_in_natural_order_and_a_part_is_held_out(base: Path, tmp_path: Path) -> None:
    (tmp_path / "part10.txt").write_text("a good day\n\nthe film was dull\n\nbad day")
    (tmp_path / "part2.txt").write_text("the day was good\n\nnot very good\n\na a a")
    found = load(str(tmp_path), tokenizer=str(base), max_length=4, separate="paragraph", test_fraction=0.3)
    assert (len(found), found.classes, found.input_shape) == (2, 12, (4,))
    assert found.classes_of(0) == ()
    inputs, targets = tokens(found, 0)
    known = [token for row in inputs for token in row if token >= 0]
    assert len(known) == sum(token >= 0 for row in targets for token in row)
    assert len(tokens(found, 0, test=True)[0]) == 1
    assert found.train(0).ids.unique().numel() == len(inputs)
    assert not set(found.train(0).ids.tolist()) & set(found.train(1).ids.tolist())


def test_of_a_single_document_the_last_part_is_for_testing(base: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a good bad film day the was not very dull")
    found = load(str(tmp_path / "one.txt"), tokenizer=str(base), max_length=20, test_fraction=0.3)
    assert tokens(found, 0)[0][0][:7] == [2, 3, 4, 5, 6, 7, 8]
    assert tokens(found, 0, test=True)[0][0][:3] == [9, 10, 11]


def test_completions_alone_are_learned_and_folders_are_experiences(base: Path, tmp_path: Path) -> None:
    for part in ("train", "test"):
        for domain in ("d1", "d2"):
            (tmp_path / part / domain).mkdir(parents=True)
            rows = [{"ask": "the film was", "say": "good"}, {"ask": "a day", "say": "very dull"}]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / part / domain / "rows.jsonl").write_text(lines)
    where = {"test": str(tmp_path / "test"), "text": "say", "prompt": "ask"}
    found = load(str(tmp_path / "train"), tokenizer=str(base), max_length=6, **where)
    assert len(found) == 2
    inputs, targets = tokens(found, 1)
    assert inputs == [[7, 5, 8, 3, -1, -1], [2, 6, 10, 11, -1, -1]]
    assert targets == [[-1, -1, 3, 1, -1, -1], [-1, 10, 11, 1, -1, -1]]
    with pytest.raises(DataError, match="leave `pack` out, or `prompt`"):
        load(str(tmp_path / "train"), tokenizer=str(base), pack=True, **where)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("a", {}, "too short to hold out"),
        ("a good day", {"end": "[NO]"}, "has no token '[NO]'"),
        ("a good day", {"prompt": "ask"}, "leave out dataset.prompt"),
        ("a good day", {"test": "other"}, "no such file or folder"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(
    base: Path, tmp_path: Path, content: str, options: dict[str, str], message: str
) -> None:
    (tmp_path / "part.txt").write_text(content)
    with pytest.raises((DataError, PipelineError)) as caught:
        load(str(tmp_path), tokenizer=str(base), **options)
    assert message in str(caught.value)


def test_another_tokenizer_makes_other_experiences(base: Path, tmp_path: Path) -> None:
    from pipelines.build import make_stream

    (tmp_path / "part.txt").write_text("a good day was not very dull a bad film " * 3)
    other = save_tiny_llama(tmp_path / "other")
    (other / "tokenizer_config.json").write_text('{"eos_token": {"content": "[UNK]"}}')

    def stream(tokenizer: Path) -> Stream:
        return make_stream(
            load_text(
                f"""
                name: p
                objective: next-token
                stream: {{dataset: {{name: documents, path: "{tmp_path}/part.txt", tokenizer: "{tokenizer}"}},
                         setting: domain-incremental}}
                model: {{name: transformers, pretrained: "{base}", head: causal-lm}}
                strategy: naive
                """
            )
        )

    assert stream(base).fingerprint(0) != stream(other).fingerprint(0)
    (other / "tokenizer_config.json").write_text('{"eos_token": "[END]"}')
    assert stream(base).fingerprint(0) == stream(other).fingerprint(0)
