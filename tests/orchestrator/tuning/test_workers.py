from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.store import open_store
from orchestrator.tuning.search import tune
from pipelines.held_out import hold_out
from pipelines.load import with_settings
from pipelines.schema import Pipeline
from pipelines.stream import build_stream
from tests.orchestrator.in_process import train

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def test_trials_with_two_workers_on_two_processors_do_not_wait_for_each_other(
    make: Callable[..., Pipeline], tmp_path: Path
) -> None:
    section = {"search": "grid", "max_concurrent": 4, "space": {"strategy.ewc.lambda": {"grid": [1, 100]}}}
    small = {"stream": {"dataset": "digits", "experiences": 3}}
    pairs = tune(make(section, scaling={"workers": 2}, storage=str(tmp_path / "pairs"), **small))
    assert (pairs.trained, pairs.reused) == (1 + 2 * 2, 1)
    assert [trial.state for trial in pairs.trials] == ["done", "done"]
    # The number of workers changes neither what is learned nor the commits' ids.
    alone = make(storage=str(tmp_path / "alone"), **small)
    stream = hold_out(build_stream(alone.stream, alone.seed), 0.1, alone.seed)
    ours, theirs = (Lineage(open_store(str(tmp_path / name)), "small") for name in ("alone", "pairs"))
    for trial in pairs.trials:
        assert trial.lineage == [train(with_settings(alone, trial.settings), stream)]
        for one, two in zip(*(kept.chain(trial.lineage[0][-1]) for kept in (ours, theirs)), strict=True):
            assert [count.test for count in one.row] == [count.test for count in two.row]
            for mine, expected in zip(two.row, one.row, strict=True):
                assert mine.correct / mine.total == pytest.approx(expected.correct / expected.total, abs=0.02)
