"""What a pipeline file may learn, in which setting and with which strategies, is checked with its line."""

from __future__ import annotations

import pytest

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError

FILE = """\
name: c
objective: OBJECTIVE
stream:
  dataset: digits
  setting: SETTING
  experiences: 1
model: mlp
strategy: STRATEGY
"""


def loaded(objective: str, setting: str = "domain-incremental", strategy: str = "naive") -> str:
    """The error of the file, or nothing."""
    text = FILE.replace("OBJECTIVE", objective).replace("SETTING", setting).replace("STRATEGY", strategy)
    try:
        load_text(text, "c.yaml")
    except PipelineError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("objective", ["regression", "multi-label"])
def test_objectives_without_classes_have_domains_or_tasks(objective: str) -> None:
    assert loaded(objective) == loaded(objective, "task-incremental") == ""
    assert loaded(objective, "class-incremental").startswith(
        f"c.yaml:5: stream.setting: {objective} has no classes that could come one after the other: use"
    )


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("{name: replay, policy: class-balanced}", "set policy: uniform"),
        ("{name: packnet, infer_task: true}", "leave infer_task out"),
        ("icarl", "icarl is for classification, not for regression"),
        ("gdumb", "gdumb is for classification, not for regression"),
    ],
)
def test_strategies_that_need_classes_are_refused_with_the_remedy(strategy: str, words: str) -> None:
    error = loaded("regression", "task-incremental", strategy)
    assert error.startswith("c.yaml:8: strategy: ") and words in error
    assert loaded("classification", "task-incremental", strategy) == ""


def test_files_that_arrive_have_classes() -> None:
    text = FILE.replace("OBJECTIVE", "regression").replace("SETTING", "domain-incremental").replace("STRATEGY", "naive")
    arriving = text.replace("dataset: digits", "source: {path: inbox, format: csv}").replace("  experiences: 1\n", "")
    with pytest.raises(PipelineError, match=r"stream\.source: files that arrive have classes as labels"):
        load_text(arriving, "c.yaml")
    load_text(arriving.replace("regression", "classification"), "c.yaml")


def test_options_that_do_not_belong_together_are_refused() -> None:
    assert (
        "delta" in loaded("{name: regression, delta: 2}") and loaded("{name: regression, loss: huber, delta: 2}") == ""
    )
    assert "positive_weights" in loaded("{name: multi-label, positive_weights: even}")
