from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.tuning.search import tune
from pipelines.schema import Pipeline

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def test_trials_with_two_workers_on_two_processors_do_not_wait_for_each_other(
    make: Callable[..., Pipeline], tmp_path: Path
) -> None:
    section = {"search": "grid", "max_concurrent": 4, "space": {"strategy.ewc.lambda": {"grid": [1, 100]}}}
    alone = tune(make(section, storage=str(tmp_path / "alone")))
    pairs = tune(make(section, scaling={"workers": 2}, storage=str(tmp_path / "pairs")))
    assert (pairs.trained, pairs.reused) == (1 + 2 * 4, 1)
    assert [trial.state for trial in pairs.trials] == ["done", "done"]
    # The number of workers changes neither what is learned nor the commits' ids.
    assert [trial.lineage for trial in pairs.trials] == [trial.lineage for trial in alone.trials]
    for one, two in zip(alone.trials, pairs.trials, strict=True):
        for name in one.metrics.keys() - {"training_seconds"}:
            assert one.metrics[name] == pytest.approx(two.metrics[name], abs=0.02), name
