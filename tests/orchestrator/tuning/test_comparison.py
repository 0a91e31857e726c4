from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from orchestrator.tuning.comparison import compare
from orchestrator.tuning.search_text import compare_lines
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def test_pipelines_over_seeds(
    make: Callable[..., Pipeline], without_ray: Callable[[], AbstractContextManager[None]]
) -> None:
    one = make(name="one", strategy="naive", published={"average_accuracy": 0.2})
    two = make(name="two", train={"epochs": 2, "batch_size": 32})
    result = compare([one, two], seeds=2)
    assert (result.trained, result.reused) == (20, 0)
    assert [(c.name, len(c.done), [run.seeds for run in c.runs]) for c in result.pipelines] == [
        ("one", 2, [[0], [1]]), ("two", 2, [[0], [1]]),
    ]  # fmt: skip
    accuracies = [run.metrics["average_accuracy"] or 0.0 for run in result.pipelines[1].runs]
    assert result.pipelines[1].metrics["average_accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert result.pipelines[1].deviation["average_accuracy"] is not None

    head, first, second = compare_lines(result.pipelines)
    assert head.split()[:4] == ["pipeline", "seeds", "average", "accuracy"]
    assert first.startswith("one       2") and "(published 20.00)" in first and "±" in second
    table = result.to_json()["pipelines"][0]["metrics"]["average_accuracy"]
    assert table["published"] == 0.2 and len(table["values"]) == 2

    with without_ray():
        again = compare([one, two], seeds=2)
    assert (again.trained, again.reused) == (0, 20)
    assert [c.metrics for c in again.pipelines] == [c.metrics for c in result.pipelines]
    assert [[r.history for r in c.runs] for c in again.pipelines] == [
        [r.history for r in c.runs] for c in result.pipelines
    ]

    more = compare([one], seeds=3)
    assert (more.trained, more.reused) == (5, 10) and [run.trained for run in more.pipelines[0].runs] == [0, 0, 5]


def test_pipelines_of_one_name_cannot_be_told_apart(make: Callable[..., Pipeline]) -> None:
    with pytest.raises(PipelineError, match="names of their own"):
        compare([make(), make()])
