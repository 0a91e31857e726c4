"""Metrics for Prometheus. That Ray exports them is a test in `test_ray_train.py`, which has a Ray."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from orchestrator.events import CommitWritten, ExperienceStarted, StageStarted, StepDone, Warned
from orchestrator.lineage.commit import Commit
from orchestrator.training.prometheus import COMMIT_SECONDS, Readings, memory_samples
from strategies.metrics import average_accuracy, forgetting, summary
from tests.orchestrator.lineage.chains import make_commit


def chain(rows: list[list[float]], held: dict[str, int] | None = None) -> list[dict[str, Any]]:
    """Commits of a stream as the driver tells of them."""
    commits: list[Commit] = []
    for index, row in enumerate(rows):
        counts = [
            {"experience": j, "test": f"test {j}", "correct": round(a * 1000), "total": 1000} for j, a in enumerate(row)
        ]
        shards = [
            {"experience": 0, "sha256": "0" * 64, "bytes": 1, "lengths": lengths}
            for lengths in (held or {"all": 3}, {"all": 4})
        ]
        more: dict[str, Any] = {"row": counts, "memories": {"replay": {"shards": shards}}}
        more["quality"] = {"flips": [10 * (j + 1) for j in range(index)]}
        if index == 0:
            more["baseline"] = [{**count, "correct": 100} for count in counts]
        commits.append(make_commit(index, commits[-1] if commits else None, {}, **more))
    return [commit.document() for commit in commits]


def random_matrix(size: int) -> NDArray[np.float64]:
    generator = torch.Generator().manual_seed(0)
    matrix = (torch.rand(size, size, generator=generator, dtype=torch.float64) * 1000).round() / 1000
    return np.asarray(matrix.numpy())


def test_readings_are_the_stream_metrics() -> None:
    matrix = random_matrix(5)
    readings = Readings()
    for k, commit in enumerate(chain(matrix.tolist())):
        found = readings.take(CommitWritten(commit, 0.5))
        assert found["everlearn_average_accuracy"] == pytest.approx(average_accuracy(matrix, k))
        if k:
            assert found["everlearn_forgetting"] == pytest.approx(forgetting(matrix, k))
        else:
            assert "everlearn_forgetting" not in found
        assert found[COMMIT_SECONDS] == 0.5
        expected = {name: value for name, value in summary(matrix, [0.1] * 5, k).items() if value is not None}
        if k:
            expected["negative_flips"] = sum(range(k + 1)) / k / 100
        assert readings.metrics == pytest.approx(expected)


def test_a_commit_that_is_reported_again_changes_nothing() -> None:
    told = chain(random_matrix(4).tolist())
    readings, again = Readings(), Readings()
    for commit in told:
        readings.take(CommitWritten(commit))
    for commit in (*told[:3], *told[1:]):
        again.take(CommitWritten(commit))
    assert again.metrics == readings.metrics != {}
    late = Readings()
    assert "everlearn_memory_samples" in late.take(CommitWritten(told[2])) and late.metrics == {}


def test_progress() -> None:
    readings = Readings()
    assert readings.take(ExperienceStarted(2, 10)) == {"everlearn_experience": 2}
    assert readings.take(StepDone(2, 1, 10, 0.5, rate=10.0)) == {"everlearn_samples_per_second": 10.0}
    assert readings.take(StepDone(2, 1, 10, 0.5)) == {}
    assert readings.take(StageStarted(2, "committing")) == {"everlearn_samples_per_second": 0.0}
    assert readings.take(Warned("x")) == {}


def test_the_memory_is_counted_over_shards_groups_and_strategies() -> None:
    assert memory_samples(chain([[1.0]], {"0": 2, "1": 5})[0]) == 11
    assert memory_samples({"memories": {}}) == 0
