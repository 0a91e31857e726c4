"""Servers and databases that refuse, hang, end and come back while a run is tracked."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrator.lineage.commit import Commit
from orchestrator.tracking import run_tracker
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.publish_lineage import publish
from orchestrator.tracking.run_view import RunView
from tests.orchestrator.tracking.chains import make_chain, make_pipeline
from tests.orchestrator.tracking.conftest import Server
from tests.orchestrator.tracking.faults import Faulty
from tests.orchestrator.tracking.run_listener import Listener, run_through, step_events, track, wait_for
from tests.orchestrator.tracking.stores import parents, points, rows

pytestmark = pytest.mark.usefixtures("quick_tracking", "no_tracking_thread_is_left")


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

    monkeypatch.setattr(run_tracker, "RunView", Noting)
    monkeypatch.setattr(run_tracker, "GRACE_AFTER_FAILURE", 0.5)
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
    monkeypatch.setattr(run_tracker, "BACK_OFF", (0.2, 60.0))
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


@pytest.mark.slow
@pytest.mark.usefixtures("patient_tracking")
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
@pytest.mark.usefixtures("patient_tracking")
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
