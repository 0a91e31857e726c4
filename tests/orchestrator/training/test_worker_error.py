"""Errors of workers as events, and back."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import CorruptBlob, RunFailed, StorageError
from orchestrator.events import RunError, from_dict, to_dict
from orchestrator.training.worker_error import as_error, as_event
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError


@pytest.mark.parametrize(
    "error", [StorageError("away"), CorruptBlob("damaged"), StrategyError("no"), PipelineError(["wrong"])]
)
def test_known_errors_come_back_as_themselves(error: Exception) -> None:
    event = from_dict(json.loads(json.dumps(to_dict(as_event(error)))))
    assert isinstance(event, RunError)
    again = as_error(event)
    assert type(again) is type(error) and str(again) == str(error)


def test_others_are_run_failures_that_name_them() -> None:
    assert str(as_error(as_event(ZeroDivisionError("by zero")))) == "ZeroDivisionError in a worker: by zero"
    assert str(as_error(as_event(MemoryError()))) == "MemoryError in a worker: MemoryError"
    diverged = as_error(as_event(NonFiniteLoss(2, 7, float("nan"))))
    assert type(diverged) is RunFailed and str(diverged).startswith("the loss became nan at step 7")
    assert type(as_error(RunError("OfAnotherVersion", "text", known=True))) is RunFailed
