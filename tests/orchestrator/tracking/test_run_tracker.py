"""Following a run: all of it arrives, and nothing that MLflow does reaches the training."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CorruptBlob
from orchestrator.events import Event, StepDone, Warned
from orchestrator.lineage.commit import Commit
from orchestrator.progress.run_reporter import Reporter
from orchestrator.tracking import run_tracker as module
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.publish_lineage import publish
from orchestrator.tracking.run_tracker import Tracker
from orchestrator.tracking.run_view import RunView
from tests.orchestrator.tracking.chains import make_chain, make_pipeline
from tests.orchestrator.tracking.conftest import Server
from tests.orchestrator.tracking.faults import Faulty
from tests.orchestrator.tracking.models import small_model, wayward_model
from tests.orchestrator.tracking.stores import parents, points, rows


class Listener(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def event(self, event: Event) -> None:
        assert isinstance(event, Warned)
        self.warnings.append(event.text)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERIOD", 0.05)
    monkeypatch.setattr(module, "BACK_OFF", (0.1, 0.4))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def listener() -> Listener:
    return Listener()


def track(uri: str, listener: Listener, chain: list[Commit], length: int = 5) -> Tracker:
    return Tracker(make_pipeline(uri), key=chain[-1].id, stream_length=length, reporter=listener)


def step_events(commit: Commit) -> list[StepDone]:
    index = commit.experience.index
    return [StepDone(index, step + 1, 1000, loss, step, time=time) for step, loss, time in commit.losses]


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def run_through(tracker: Tracker, chain: list[Commit], pause: float = 0.0) -> None:
    """What a driver does with a tracker."""
    tracker.commit([])
    for index, commit in enumerate(chain):
        for event in step_events(commit):
            tracker.losses([event])
        tracker.commit(chain[: index + 1])
        time.sleep(pause)
    tracker.finish(chain)


def test_follows_a_run_to_its_end(
    uri: str, database: Path, listener: Listener, make_database: Callable[[], Path]
) -> None:
    chain = make_chain()
    with track(uri, listener, chain) as tracker:
        run_through(tracker, chain, pause=0.1)
    assert tracker.complete
    assert listener.warnings == []
    assert [(row[0], row[1]) for row in parents(database)] == [(tracker.run_id, "FINISHED")]
    other = make_database()
    publish(make_pipeline(f"sqlite:///{other}"), chain, stream_length=5)
    assert points(database) == points(other), "the same as published at once"


def test_publishing_after_a_tracked_run_adds_nothing(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain()
    with track(uri, listener, chain) as tracker:
        tracker.commit([])
        run_through(tracker, chain)
        tracker.finish(chain, small_model)
    before = rows(database)
    assert publish(make_pipeline(uri), chain, stream_length=5, model=small_model) == tracker.run_id
    assert rows(database) == before
    assert len(before["logged_models"]) == 1


def test_a_run_is_seen_while_it_trains(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain()
    with track(uri, listener, chain) as tracker:
        tracker.commit([])
        wait_for(lambda: tracker.run_id)
        assert [row[1] for row in parents(database)] == ["RUNNING"]
        tracker.losses(step_events(chain[0])[:10])
        wait_for(lambda: len(points(database)) == 10)
        tracker.commit(chain[:1])
        wait_for(lambda: [p for p in points(database) if p[1] == "average_accuracy"])
        tracker.finish(chain)


def test_losses_wait_for_the_commit_before_them(uri: str, database: Path, listener: Listener) -> None:
    """A commit is uploaded while the next experience trains already."""
    chain = make_chain(2)
    with track(uri, listener, chain, 2) as tracker:
        tracker.commit([])
        tracker.losses(step_events(chain[1])[:5])
        tracker.losses(step_events(chain[0]))
        time.sleep(0.3)
        tracker.commit(chain[:1])
        wait_for(lambda: [p for p in points(database) if p[1] == "loss/train" and p[2] == chain[0].steps + 25])
        tracker.finish(chain)
    losses = [p[2] for p in points(database) if p[1] == "loss/train"]
    assert losses == list(range(5, 205, 5))


def test_going_on_with_a_run_resumes_it(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain()
    with pytest.raises(KeyboardInterrupt), track(uri, listener, chain) as first:
        first.commit(chain[:2])
        raise KeyboardInterrupt
    assert [row[1] for row in parents(database)] == ["KILLED"]
    with track(uri, listener, chain) as second:
        second.commit(chain[:2])
        wait_for(lambda: second.run_id)
        wait_for(lambda: [row[1] for row in parents(database)] == ["RUNNING"])
        second.finish(chain)
    assert second.run_id == first.run_id
    assert [row[1] for row in parents(database)] == ["FINISHED"]
    assert listener.warnings == []


def test_a_run_that_failed_is_shown_as_failed(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain()
    with pytest.raises(ValueError, match="training"), track(uri, listener, chain) as tracker:
        tracker.commit(chain[:1])
        raise ValueError("training")
    assert [row[1] for row in parents(database)] == ["FAILED"]
    assert [p for p in points(database) if p[1] == "average_accuracy"]
    assert tracker.complete


def test_a_second_run_that_trains_nothing_changes_nothing(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain()
    publish(make_pipeline(uri), chain, stream_length=5, model=small_model)
    before = rows(database)
    with track(uri, listener, chain) as tracker:
        tracker.commit(chain)
        tracker.finish(chain, small_model)
    assert tracker.complete
    assert tracker.run_id == parents(database)[0][0]
    assert rows(database) == before


def test_a_model_that_cannot_be_exported_is_a_warning(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain(1)
    with track(uri, listener, chain, 1) as tracker:
        tracker.finish(chain, wayward_model)
    assert tracker.complete
    assert len(listener.warnings) == 1
    assert "torch.export" in listener.warnings[0]


def test_a_model_that_cannot_be_read_is_a_warning(uri: str, database: Path, listener: Listener) -> None:
    def damaged() -> Any:
        raise CorruptBlob("commit c0ffee: blob 1234 is damaged")

    chain = make_chain(1)
    with track(uri, listener, chain, 1) as tracker:
        tracker.finish(chain, damaged)
    assert tracker.complete
    assert listener.warnings == ["tracking: the model is not in MLflow: commit c0ffee: blob 1234 is damaged"]
    with pytest.raises(CorruptBlob):
        publish(make_pipeline(uri), chain, stream_length=1, model=damaged)


def test_a_reporter_that_fails_does_no_harm(uri: str, database: Path) -> None:
    class Broken(Reporter):
        def event(self, event: Event) -> None:
            raise RuntimeError

    chain = make_chain(1)
    with Tracker(make_pipeline(uri), key=chain[-1].id, stream_length=1, reporter=Broken()) as tracker:
        tracker.finish(chain, wayward_model)
    assert tracker.complete


@pytest.mark.parametrize("behaviour", ["refuse", "hang", 401, 403, 500, 503, "garbage"])
def test_a_server_that_cannot_be_used_neither_stops_nor_slows(
    behaviour: int | str,
    faulty: Callable[[int | str], Faulty],
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: set[threading.Thread] = set()

    class Noting(RunView):
        """Notes who speaks with the server: never the thread that calls the tracker, which must not be held up."""

        def open(self, chain: Sequence[Commit]) -> bool:
            threads.add(threading.current_thread())
            return super().open(chain)

    monkeypatch.setattr(module, "RunView", Noting)
    monkeypatch.setattr(module, "GRACE_AFTER_FAILURE", 0.5)
    chain = make_chain()
    server = faulty(behaviour)
    uri = server.uri.replace("http://", "http://ann:s3cr3t-w0rd@")
    with track(uri, listener, chain) as tracker:
        run_through(tracker, chain, pause=0.05)
        wait_for(lambda: threads)
    assert threading.current_thread() not in threads
    assert not tracker.complete
    assert tracker.run_id is None
    assert len(listener.warnings) == 1, listener.warnings
    (warning,) = listener.warnings
    assert "everlearn publish" in warning
    assert "\n" not in warning
    assert "s3cr3t" not in warning
    assert "***@127.0.0.1" in tracker.uri


def test_a_server_that_is_down_is_asked_less_and_less(
    faulty: Callable[[int | str], Faulty], listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BACK_OFF", (0.2, 60.0))
    chain = make_chain()
    server = faulty(500)
    with track(server.uri, listener, chain) as tracker:
        tracker.commit([])
        began = time.monotonic()
        wait_for(lambda: server.requests)
        for _ in range(30):
            tracker.losses(step_events(chain[0]))
            tracker.commit(chain[:1])
            time.sleep(0.05)
        # Each time after twice the pause: the number of requests grows as the logarithm of the time, whatever that is.
        assert server.requests <= 2 + math.log2((time.monotonic() - began) / 0.2 + 1)


def test_a_database_that_cannot_be_written_neither_stops_nor_slows(tmp_path: Path, listener: Listener) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    chain = make_chain()
    with track(f"sqlite:///{tmp_path}/mlflow.db", listener, chain) as tracker:
        run_through(tracker, chain)
    assert not tracker.complete
    assert len(listener.warnings) == 1


def test_a_store_that_comes_back_gets_everything(
    tmp_path: Path, new_database: Callable[[Path], str], listener: Listener
) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("no database " * 100)
    chain = make_chain()
    with track(f"sqlite:///{file}", listener, chain) as tracker:
        tracker.commit([])
        tracker.losses(step_events(chain[0])[:4])
        wait_for(lambda: listener.warnings)
        new_database(file)
        wait_for(lambda: tracker.run_id)
        run_through(tracker, chain)
    assert tracker.complete
    assert [row[1] for row in parents(file)] == ["FINISHED"]
    assert len([p for p in points(file) if p[1] == "loss/train"]) == 100


def test_a_run_deleted_under_its_feet_is_made_again(uri: str, database: Path, listener: Listener) -> None:
    chain = make_chain()
    with track(uri, listener, chain) as tracker:
        tracker.commit(chain[:1])
        wait_for(lambda: tracker.run_id)
        first = str(tracker.run_id)
        wait_for(lambda: [p for p in points(database) if p[1] == "average_accuracy"])
        connect(uri).delete_run(first)
        tracker.commit(chain[:2])
        wait_for(lambda: tracker.run_id != first)
        tracker.finish(chain)
    assert tracker.complete
    assert connect(uri).get_run(str(tracker.run_id)).info.status == "FINISHED"


def test_an_interpreter_ends_although_a_server_hangs(faulty: Callable[[int | str], Faulty]) -> None:
    server = faulty("hang")
    script = f"""
from orchestrator.tracking.run_tracker import Tracker
from tests.orchestrator.tracking.chains import make_chain, make_pipeline
chain = make_chain(1)
tracker = Tracker(make_pipeline("{server.uri}"), key=chain[-1].id, stream_length=1)
with tracker:
    tracker.commit(chain)
    tracker.finish(chain)
    tracker.close(timeout=0.5)
print("ended")
"""
    environment = {**os.environ, "MLFLOW_HTTP_REQUEST_TIMEOUT": "300"}
    environment.pop("PYTEST_CURRENT_TEST", None)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ended\n", "")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that work, on a machine that may be busy."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_a_server_killed_in_the_middle(
    make_server: Callable[[], Server], listener: Listener, make_database: Callable[[], Path]
) -> None:
    server, chain = make_server(), make_chain()
    with track(server.uri, listener, chain) as tracker:
        tracker.commit([])
        tracker.losses(step_events(chain[0]))
        tracker.commit(chain[:2])
        wait_for(lambda: [p for p in points(server.database) if p[1] == "average_accuracy" and p[2] == 1])
        server.kill()
        for event in step_events(chain[2]):
            tracker.losses([event])
        tracker.commit(chain[:3])
        wait_for(lambda: listener.warnings)
        tracker.finish(chain)
    assert not tracker.complete
    assert len(listener.warnings) == 1
    server.start()
    assert publish(make_pipeline(server.uri), chain, stream_length=5) == tracker.run_id
    other = make_database()
    publish(make_pipeline(f"sqlite:///{other}"), chain, stream_length=5)
    assert points(server.database) == points(other), "complete, and nothing twice"
    assert [row[1] for row in parents(server.database)] == ["FINISHED"]


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_a_server_that_comes_up_later(make_server: Callable[..., Server], listener: Listener) -> None:
    server, chain = make_server(started=False), make_chain()
    with track(server.uri, listener, chain) as tracker:
        run_through(tracker, chain[:3])
        wait_for(lambda: listener.warnings)
        server.start()
        wait_for(lambda: tracker.run_id)
        tracker.finish(chain)
    assert tracker.complete
    before = rows(server.database)
    publish(make_pipeline(server.uri), chain, stream_length=5)
    assert rows(server.database) == before


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 30
    while [thread for thread in threading.enumerate() if thread.name == "everlearn-tracking"]:
        assert time.monotonic() < deadline, "a tracking thread goes on"
        time.sleep(0.05)
