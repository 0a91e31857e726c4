"""Following a run: all of it arrives, and nothing that MLflow does reaches the training."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import CorruptBlob
from orchestrator.events import Event
from orchestrator.progress.run_reporter import Reporter
from orchestrator.tracking.publish_lineage import publish
from orchestrator.tracking.run_tracker import Tracker
from tests.orchestrator.tracking.chains import make_chain, make_pipeline
from tests.orchestrator.tracking.models import small_model, wayward_model
from tests.orchestrator.tracking.run_listener import Listener, run_through, step_events, track, wait_for
from tests.orchestrator.tracking.stores import parents, points, rows

pytestmark = pytest.mark.usefixtures("quick_tracking", "no_tracking_thread_is_left")


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


def test_a_resumed_run_continues_its_mlflow_run(uri: str, database: Path, listener: Listener) -> None:
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
