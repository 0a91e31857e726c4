"""A search as MLflow shows it: one run, and a nested run for each trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.search_view import Closing, SearchView
from orchestrator.tuning.trial_record import TrialRecord
from tests.orchestrator.tracking.chains import make_pipeline
from tests.orchestrator.tracking.stores import points, rows

KEY = "search-1"


def opened(uri: str) -> SearchView:
    view = SearchView(make_pipeline(uri), key=KEY, title="p: random search")
    view.open_search(1000)
    return view


def record(number: int, state: str = "done", **fields: Any) -> TrialRecord:
    history = [{"average_accuracy": 0.9, "forgetting": None}, {"average_accuracy": 0.8, "forgetting": 0.1}]
    made = {
        "number": number, "state": state, "settings": {"strategy.ewc.lambda": 3.0}, "of": 2, "history": history,
        "times": [1500, 2000], "started": 1200, "ended": 2100, "trained": 2, "reused": 0,
        "deviation": {"average_accuracy": 0.05}, "lineage": [["a" * 64, "b" * 64]], **fields,
    }  # fmt: skip
    return TrialRecord.model_validate(made)


def test_a_trial_is_a_nested_run_with_its_metrics_along_the_stream(uri: str, database: Path) -> None:
    view = opened(uri)
    view.trial(record(0), {"strategy.ewc.lambda": 3.0})
    view.trial(record(1, "failed", error="http://me:hunter2secret@x"), {})
    written = {(name, key, step): (time, value) for name, key, step, time, value in points(database)}
    assert written[("trial 000", "average_accuracy", 1)] == (2000, 0.8)
    assert written[("trial 000", "final/forgetting", 0)] == (2000, 0.1)
    assert written[("trial 000", "deviation/average_accuracy", 1)] == (2000, 0.05)
    assert ("trial 000", "forgetting", 0) not in written and ("trial 001", "final/forgetting", 0) not in written
    client = connect(uri)
    runs = {run.info.run_name: run for run in client.search_runs([view.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "p: random search": "RUNNING", "trial 000": "FINISHED", "trial 001": "FAILED",
    }  # fmt: skip
    assert runs["trial 000"].data.tags["mlflow.parentRunId"] == view.run_id
    assert "hunter2secret" not in str(runs["trial 001"].data.tags)


def test_writing_twice_changes_nothing(uri: str, database: Path) -> None:
    view = opened(uri)
    view.trial(record(0), {})
    closing = Closing("the note", 3000, best=0, commit="b" * 64, metrics={"best/x": 0.5}, files={"f/a.txt": b"1"})
    view.close(closing)
    before = rows(database)
    again = opened(uri)
    assert again.run_id == view.run_id
    again.trial(record(0), {})
    again.close(closing)
    assert rows(database) == before


def test_the_end_names_the_best_and_another_invocation_may_change_it(uri: str) -> None:
    view = opened(uri)
    for number in (0, 1):
        view.trial(record(number), {})
    client = connect(uri)
    for best in (0, 1):
        view.close(Closing("the note", 3000, best=best, commit="b" * 64, files={"f/a.txt": b"1"}))
        runs = {run.info.run_name: run for run in client.search_runs([view.experiment_id])}
        assert [runs[f"trial 00{n}"].data.tags["everlearn.best"] for n in (0, 1)] == [
            "true" if n == best else "false" for n in (0, 1)
        ]
        whole = runs["p: random search"]
        assert whole.data.tags["everlearn.best"] == str(best) and whole.info.status == "FINISHED"
        assert whole.data.tags["everlearn.best_run"] == runs[f"trial 00{best}"].info.run_id
    assert [file.path for file in client.list_artifacts(str(view.run_id), "f")] == ["f/a.txt"]


def test_a_trial_that_continues_is_written_again(uri: str) -> None:
    view = opened(uri)
    view.trial(record(0, "stopped"), {})
    opened(uri).trial(record(0, "done"), {})
    client = connect(uri)
    (run,) = [r for r in client.search_runs([view.experiment_id]) if r.info.run_name == "trial 000"]
    assert run.info.status == "FINISHED" and run.data.tags["everlearn.state"] == "done"
