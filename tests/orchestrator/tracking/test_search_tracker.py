"""Following a search in MLflow while it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.tracking import search_tracker as module
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.search_tracker import SearchTracker
from orchestrator.tracking.search_view import Closing
from orchestrator.tuning.trial_record import TrialRecord
from tests.orchestrator.tracking.chains import make_pipeline
from tests.orchestrator.tracking.faults import Faulty


def record(number: int) -> TrialRecord:
    return TrialRecord(
        number=number, state="done", of=1, history=[{"average_accuracy": 0.5}], times=[1500], started=1200, ended=2100
    )


def tracker(uri: str, warn: Callable[[str], None]) -> SearchTracker:
    return SearchTracker(make_pipeline(uri), key="search-1", title="a search", warn=warn)


def statuses(uri: str) -> dict[str, str]:
    client = connect(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.run_name: run.info.status for run in client.search_runs(experiments)}


def test_all_trials_and_the_end_are_written(uri: str) -> None:
    with tracker(uri, pytest.fail) as following:
        for number in range(3):
            following.trial(record(number), {"a": number})
        following.finish(lambda: Closing("note", 3000, best=1))
    assert following.run_id is not None
    assert statuses(uri) == {"a search": "FINISHED", **{f"trial 00{n}": "FINISHED" for n in range(3)}}


def test_a_search_that_fails_is_shown_as_failed(uri: str) -> None:
    with pytest.raises(ZeroDivisionError), tracker(uri, pytest.fail) as following:
        following.trial(record(0), {})
        following.finish(lambda: Closing("note", 3000))
        raise ZeroDivisionError
    assert statuses(uri) == {"a search": "FAILED", "trial 000": "FINISHED"}


def test_a_server_that_fails_is_reported_once_and_holds_nothing_up(
    faulty: Callable[[int | str], Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF", (0.01, 0.01))
    server, told = faulty("json 403"), list[str]()
    with tracker(server.uri, told.append) as following:
        following.trial(record(0), {})
        following.trial(record(1), {})
    assert following.run_id is None
    (text,) = told
    assert server.uri in text and "the search continues without it" in text and "\n" not in text


def test_a_reporter_that_fails_does_not_end_the_search(faulty: Callable[[int | str], Faulty]) -> None:
    asked: list[str] = []

    def fails(text: str) -> None:
        asked.append(text)
        raise ZeroDivisionError

    with tracker(faulty("refuse").uri, fails) as following:
        following.trial(record(0), {})
    assert len(asked) == 1


def test_what_is_missing_is_written_by_the_next_invocation(uri: str, database: Path) -> None:
    with tracker(uri, pytest.fail) as following:
        following.trial(record(0), {})
    with tracker(uri, pytest.fail) as again:
        for number in range(2):
            again.trial(record(number), {})
        again.finish(lambda: Closing("note", 3000, best=1))
    assert again.run_id == following.run_id
    assert statuses(uri)["trial 001"] == statuses(uri)["a search"] == "FINISHED" and database.exists()
