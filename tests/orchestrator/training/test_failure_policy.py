"""The decisions after a failure, case by case."""

from __future__ import annotations

import pytest

from orchestrator.training.failure_policy import MAX_FAILURES, Cause, Decision, Failure, decide, start_retries

WORKERS = "4 consecutive worker failures without a new checkpoint or commit; the last: why"
CONTROLLER = "4 consecutive failures of Ray Train's controller without a new checkpoint or commit; the last: why"


@pytest.mark.parametrize(
    ("cause", "progress", "failures", "retry", "counted", "reason"),
    [
        # Workers, or their nodes, failed 4 times within one run of Ray Train.
        ("workers", False, 0, False, 4, WORKERS),
        ("workers", True, 0, True, 0, "why"),
        ("workers", True, 3, True, 0, "why"),
        ("workers", False, 1, False, 5, WORKERS.replace("4", "5")),
        # The controller, which Ray Train does not restart.
        ("controller", False, 0, True, 1, "why"),
        ("controller", False, 1, True, 2, "why"),
        ("controller", False, 2, True, 3, "why"),
        ("controller", False, 3, False, 4, CONTROLLER),
        ("controller", True, 3, True, 0, "why"),
        # What another attempt would meet again, however much progress there was.
        ("error", False, 0, False, 0, "why"),
        ("error", True, 2, False, 2, "why"),
        ("observer", True, 0, False, 0, "why"),
        ("cluster", False, 0, False, 0, "why"),
        ("cluster", True, 1, False, 1, "why"),
    ],
)
def test_cases(cause: Cause, progress: bool, failures: int, retry: bool, counted: int, reason: str) -> None:
    assert decide(Failure(cause, progress, failures, "why")) == Decision(retry, counted, reason)


def test_failures_with_progress_are_not_limited() -> None:
    decision = Decision(True, 0, "")
    for _ in range(1000):
        decision = decide(Failure("workers", True, decision.failures))
    assert decision.retry


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_controllers_are_started_again_as_often_as_the_limit_says(limit: int) -> None:
    attempts, failures = 0, 0
    while (decision := decide(Failure("controller", False, failures), limit)).retry:
        attempts, failures = attempts + 1, decision.failures
    assert attempts == limit


def test_an_elastic_group_has_as_much_patience_in_all_as_another() -> None:
    assert start_retries(elastic=False) == MAX_FAILURES
    assert start_retries(elastic=True) == 10 * (MAX_FAILURES + 1) - 1
