"""Settings that were found on the way, and what a file says of single experiences."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.config.found_settings import as_override, with_found
from pipelines.config.load import load_text, with_settings

TEXT = """\
name: small
stream: {dataset: digits, experiences: 3}
model: mlp
strategy: [{name: replay, capacity: 20}, {name: ewc, lambda: 3}]
train: {epochs: 4, per_experience: {2: {optimizer: {lr: 0.5}, strategy: {ewc: {lambda: 9}}}}}
"""
FOUND: dict[str, Any] = {"train.optimizer.lr": 0.1, "strategy.ewc.lambda": 7.0, "train.steps": 6}


def test_settings_by_path_are_an_entry_of_per_experience() -> None:
    pipeline = load_text(TEXT)
    expected = {"steps": 6, "optimizer": {"lr": 0.1}, "strategy": {"ewc": {"lambda": 7.0}}}
    assert as_override(pipeline, FOUND) == expected
    assert as_override(pipeline, {"strategy.1.lambda": 7.0}) == {"strategy": {"ewc": {"lambda": 7.0}}}


@pytest.mark.parametrize("indices", [None, (0, 1), (1, 2)])
def test_they_are_what_the_file_would_say(indices: Any) -> None:
    pipeline = load_text(TEXT)
    paths = {f"train.per_experience.1.{path.removeprefix('train.')}": value for path, value in FOUND.items()}
    written = with_settings(pipeline, paths)
    assert with_found(pipeline, {1: FOUND}, indices).at(1) == written.at(1)
    assert with_found(pipeline, {1: FOUND}, indices).at(0) == pipeline.at(0)


def test_what_the_file_names_for_one_experience_is_kept() -> None:
    last = with_found(load_text(TEXT), {1: FOUND, 2: FOUND}).at(2)
    assert (last.train.optimizer.lr, last.train.steps, last.train.epochs) == (0.5, 6, None)
    assert last.strategy[1].extras["lambda"] == 9


def test_without_any_it_is_the_same_pipeline() -> None:
    pipeline = load_text(TEXT)
    assert with_found(pipeline, {}) is pipeline and with_found(pipeline, {1: FOUND}, (2,)) is pipeline
