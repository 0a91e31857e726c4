"""What runs in a trial: attempts, and what Ray Tune is told. Trials at work: test_search and test_ray_tune."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from orchestrator.tuning import trial
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.shared_training import Claims
from orchestrator.tuning.trial import TrialContext, run_trial
from orchestrator.tuning.trial_resources import Needs
from orchestrator.tuning.trial_streams import Streams, Validation
from pipelines.config.schema import Pipeline
from strategies.api.strategy_errors import NonFiniteLoss

Make = Callable[..., Pipeline]


class RemoteClaims:
    """The claims of a search with one trial, whose remote calls are made here."""

    def __init__(self) -> None:
        self.released: list[str] = []
        claims = Claims()

        def call(name: str) -> Any:
            return SimpleNamespace(remote=lambda *args: asyncio.run(getattr(claims, name)(*args)))

        self.take, self.made = call("take"), call("made")
        self.release = SimpleNamespace(remote=self.released.append)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Ray Tune is told."""
    reports: list[dict[str, Any]] = []
    monkeypatch.setattr(trial.tune, "report", reports.append)
    monkeypatch.setattr(trial.ray, "get", lambda value: value)
    return reports


def context(pipeline: Pipeline, **changes: Any) -> TrialContext:
    document = {key: value for key, value in pipeline.to_document().items() if key != "tune"}
    streams = Streams(Validation(0.2, 0))
    fields: dict[str, Any] = {
        "documents": [yaml.safe_dump(document)], "streams": streams, "claims": RemoteClaims(),
        "objectives": ["forgetting"], "stepwise": False, "retries": 0, "needs": [Needs(1, {"CPU": 1})],
        "search_path": [], **changes,
    }  # fmt: skip
    return TrialContext(**fields)


def test_it_tells_after_every_experience_and_reuses_what_is_there(make: Make, told: list[dict[str, Any]]) -> None:
    proposal = Proposal(3, {"strategy.ewc.lambda": 5.0}, [0, 1]).to_config()
    shared = context(make())
    run_trial(proposal, shared)
    records = [json.loads(report["record"]) for report in told]
    assert [report["complete"] for report in told] == [False] * 4 + [True]
    assert [len(record["lineage"][1]) for record in records] == [1, 2, 3, 4, 5]
    # After one experience nothing can be forgotten: for the scheduler, a number all the same.
    assert told[0]["forgetting"] == 0.0 and records[0]["metrics"]["forgetting"] is None
    assert told[-1]["forgetting"] == records[-1]["metrics"]["forgetting"]
    assert (records[-1]["trained"], records[-1]["reused"]) == (10, 0)
    told.clear()
    run_trial(proposal, shared)
    again = json.loads(told[-1]["record"])
    assert (again["trained"], again["reused"]) == (0, 10)
    assert again["metrics"] == records[-1]["metrics"]
    assert shared.claims.released == ["3", "3"]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_failure_is_tried_again_and_then_told_as_a_result(
    retries: int, make: Make, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([OSError("disk"), ValueError("x"), NonFiniteLoss(1, 2, float("nan"))])

    class Fails:
        def __init__(self, *_: object) -> None:
            raise next(errors)

    monkeypatch.setattr(trial, "_Trial", Fails)
    shared = context(make(), retries=retries)
    run_trial(Proposal(0, {}, [0]).to_config(), shared)
    (report,) = told
    failed = json.loads(report["failed"])
    # A loss that is not finite would come again; a disk may not.
    assert (failed["final"], "the loss became" in failed["error"]) == (retries == 2, retries == 2)
    assert retries or failed["error"] == "OSError: disk"
    assert shared.claims.released == ["0"] * (retries + 1)
