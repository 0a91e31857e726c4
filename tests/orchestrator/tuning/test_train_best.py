"""Training the settings that a search has chosen, on all of the training data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.errors import RunFailed
from orchestrator.tuning import train_best
from orchestrator.tuning.search_reporter import SearchReporter
from orchestrator.tuning.train_best import train_whole
from orchestrator.tuning.trial_resources import Needs
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from tests.orchestrator.train_stream import train

TUNE = {"search": "random", "space": {"strategy.ewc.lambda": {"uniform": [1, 2]}}}
Make = Callable[..., Pipeline]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is as good a place as a trial's; what another place is for has tests with Ray."""
    monkeypatch.setattr(train_best, "_fits_here", lambda need: isinstance(need, Needs))


@pytest.mark.usefixtures("here")
def test_what_is_missing_is_trained_and_tested_on_the_real_test_sets(make: Make) -> None:
    pipeline = make(TUNE)
    assert pipeline.tune is not None
    # Ray is started only where this process is connected to one already, as other tests of this folder are.
    first = train_whole(pipeline, pipeline.tune, SearchReporter(), lambda: None)
    assert (first.trained, len(first.chain)) == (5, 5)
    whole = build_stream(pipeline.stream, pipeline.seed)
    assert [count.test for count in first.chain[-1].row] == [whole.test_fingerprint(j) for j in range(5)]
    accuracy = first.metrics["average_accuracy"]
    assert accuracy is not None and 0 < accuracy <= 1
    model, example = first.model()
    assert model(example).shape[1] == 10
    # Nothing is left to train.
    again = train_whole(pipeline, pipeline.tune, SearchReporter(), lambda: pytest.fail("Ray was wanted"))
    assert (again.trained, again.ids) == (0, first.ids)


def test_what_a_run_has_trained_is_used(make: Make) -> None:
    pipeline = make(TUNE)
    assert pipeline.tune is not None
    ids = train(pipeline)
    found = train_whole(pipeline, pipeline.tune, SearchReporter(), lambda: pytest.fail("Ray was wanted"))
    assert (found.trained, found.ids) == (0, ids)


@pytest.mark.usefixtures("here")
def test_settings_that_fail_say_why(make: Make) -> None:
    pipeline = make(TUNE, train={"epochs": 1, "batch_size": 32, "optimizer": {"name": "sgd", "lr": 1e30}})
    assert pipeline.tune is not None
    with pytest.raises(RunFailed, match="failed on all of the training data: the loss became"):
        train_whole(pipeline, pipeline.tune, SearchReporter(), lambda: None)
