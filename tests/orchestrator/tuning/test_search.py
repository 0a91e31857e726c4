from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from orchestrator.errors import RunFailed
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from orchestrator.tuning.search import tune
from orchestrator.tuning.search_reporter import SearchReporter
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

Make = Callable[..., Pipeline]
LAMBDA_AND_RATIO = {
    "strategy.ewc.lambda": {"loguniform": [1, 1000]},
    "strategy.replay.ratio": {"uniform": [0.05, 0.5]},
}

SHORT = {"stream": {"dataset": "digits", "experiences": 2}}


def commits(folder: Path) -> set[str]:
    return set(Lineage(FolderStore(folder / "store"), "small").commits())


def test_trials_that_differ_only_after_the_beginning_train_it_once(make: Make, tmp_path: Path) -> None:
    result = tune(make({"trials": 4, "space": LAMBDA_AND_RATIO}))
    assert (result.trained, result.reused) == (1 + 4 * 4, 3)
    assert sorted(trial.trained for trial in result.trials) == [4, 4, 4, 5]
    assert len({trial.lineage[0][0] for trial in result.trials}) == 1
    assert all(trial.state == "done" and len(trial.history) == 5 for trial in result.trials)
    best = max(result.trials, key=lambda trial: trial.metrics["average_accuracy"] or 0)
    assert (result.best.number, result.best.settings) == (best.number, best.settings)
    # Trials were tested on what was held out, and the best model on the test sets alone.
    lineage = Lineage(FolderStore(tmp_path / "store"), "small")
    pipeline = make()
    whole = build_stream(pipeline.stream, pipeline.seed)
    tests = {whole.test_fingerprint(index) for index in range(5)}
    seen = {count.test for trial in result.trials for commit in trial.lineage[0] for count in lineage.read(commit).row}
    assert len(seen) == 5 and not seen & tests
    assert {count.test for commit in result.best.lineage for count in lineage.read(commit).row} == tests
    # The best model is trained on all of the data: other commits.
    assert (result.best.trained, result.best.reused) == (5, 0)
    assert len(commits(tmp_path)) == 17 + 5
    ref = lineage.ref("best")
    assert ref is not None and ref.commit == result.best.lineage[-1]
    assert lineage.ref("latest") is None

    again = tune(make({"trials": 5, "space": LAMBDA_AND_RATIO}))
    assert (again.trained, again.reused) == (4, 21)
    assert [trial.settings for trial in again.trials[:4]] == [trial.settings for trial in result.trials]
    assert again.best.reused == 5 or again.best.number == 4

    # A time budget that is used up leaves what is done.
    late = tune(make({"trials": 7, "time_budget": 0.001, "space": LAMBDA_AND_RATIO}))
    assert len(late.trials) == 5 and late.trained == 0


def test_equal_settings_cost_one(make: Make, tmp_path: Path) -> None:
    space = {"strategy.ewc.lambda": {"choice": [5]}, "strategy.replay.ratio": {"choice": [0.25]}}
    result = tune(make({"trials": 3, "space": space}))
    assert (result.trained, result.reused) == (5, 10)
    assert [trial.state for trial in result.trials] == ["done"] * 3
    assert len({str(trial.metrics) for trial in result.trials}) == 1
    assert len(commits(tmp_path)) == 5 + 5


class Watcher(SearchReporter):
    def __init__(self) -> None:
        self.running: set[int] = set()
        self.most = 0

    def trial(self, record: TrialRecord) -> None:
        if record.name:
            return
        (self.running.add if record.state == "running" else self.running.discard)(record.number)
        self.most = max(self.most, len(self.running))


def test_a_failing_trial_is_marked_and_the_search_continues(
    make: Make, without_ray: Callable[[], AbstractContextManager[None]]
) -> None:
    space = {"train.optimizer.lr": {"grid": [0.1, 1e30]}}
    sgd = {"epochs": 1, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 0.1}}
    section = {"search": "grid", "retries": 1, "max_concurrent": 1, "space": space}
    watcher = Watcher()
    result = tune(make(section, train=sgd), reporter=watcher)
    assert watcher.most == 1
    good, bad = result.trials
    assert (good.state, bad.state) == ("done", "failed") and "loss became" in (bad.error or "")
    assert result.best.number == 0 and result.best.settings == {"train.optimizer.lr": 0.1}
    with without_ray():  # nothing is left to train
        again = tune(make(section, train=sgd))
    assert again.trained == 0 and again.best.lineage == result.best.lineage
    assert [trial.state for trial in again.trials] == ["done", "failed"]


def test_a_search_in_which_everything_fails_says_why(make: Make) -> None:
    space = {"train.optimizer.lr": {"choice": [1e30]}}
    sgd = {"optimizer": {"name": "sgd", "lr": 0.1}}
    with pytest.raises(RunFailed, match="1 of 1 failed") as raised:
        tune(make({"trials": 1, "space": space}, train=sgd))
    assert "loss became" in str(raised.value)


@pytest.mark.slow
def test_optuna_with_two_objectives_gives_a_front_and_continues(make: Make) -> None:
    section = {"search": "optuna", "metric": ["average_accuracy", "forgetting"], "max_concurrent": 1, "space": {
        "strategy.replay.ratio": {"quniform": [0.1, 0.5, 0.2]},
        "model.hidden": {"choice": [[8], [16]]},
        "train.epochs": {"randint": [1, 3]},
    }}  # fmt: skip
    first = tune(make({**section, "trials": 3}, **SHORT))
    assert [trial.number for trial in first.trials] == [0, 1, 2] and first.front
    assert all(trial.settings["model.hidden"] in ([8], [16]) for trial in first.trials)
    assert {trial.settings["strategy.replay.ratio"] for trial in first.trials} <= {0.1, 0.3, 0.5}
    second = tune(make({**section, "trials": 4}, **SHORT))
    assert [trial.settings for trial in second.trials[:3]] == [trial.settings for trial in first.trials]
    assert len(second.trials) == 4 and second.trained <= 2


def test_a_scheduler_stops_bad_trials_early(make: Make) -> None:
    learning = {"train.optimizer.lr": {"grid": [0.01, 1e-9, 2e-9, 3e-9]}}
    result = tune(make({"search": "grid", "scheduler": "asha", "max_concurrent": 1, "space": learning}))
    states = [trial.state for trial in result.trials]
    assert states[0] == "done" and set(states[1:]) == {"stopped"}
    assert all(2 <= len(trial.history) < 5 for trial in result.trials[1:])
    # A trial is stopped before it trains anything further.
    assert all(trial.trained == len(trial.history) for trial in result.trials[1:])


@pytest.mark.slow
def test_median_stopping_and_several_seeds(make: Make) -> None:
    section = {"search": "grid", "scheduler": "median", "seeds": 2, "max_concurrent": 1}
    result = tune(make({**section, "space": {"strategy.ewc.lambda": {"grid": [1, 10]}}}, **SHORT))
    assert [trial.seeds for trial in result.trials] == [[0, 1], [0, 1]]
    assert (result.trained, result.reused) == (2 * (1 + 2 * 1), 2)
    trial = result.trials[0]
    accuracies = [values["average_accuracy"] or 0.0 for values in trial.values]
    assert trial.metrics["average_accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert trial.deviation["average_accuracy"] is not None


def test_what_cannot_be_searched(make: Make) -> None:
    with pytest.raises(PipelineError, match="no `tune` section"):
        tune(make())
    with pytest.raises(PipelineError, match="every combination"):
        tune(make({"search": "grid", "space": {"strategy.ewc.lambda": {"grid": [1, 2]}}}), trials=3)
