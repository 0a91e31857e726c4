"""One run in MLflow, written bit by bit."""

from __future__ import annotations

from pathlib import Path

from orchestrator.tracking.metric_points import LOSS, Point, loss_points
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.run_view import RunView
from tests.orchestrator.tracking.chains import make_chain, make_pipeline
from tests.orchestrator.tracking.stores import parents, points


def open_view(uri: str, chain_length: int = 0) -> RunView:
    chain = make_chain()
    view = RunView(make_pipeline(uri), key=chain[-1].id, stream_length=5)
    view.open(chain[:chain_length])
    return view


def test_open_tells_whether_the_run_is_new(uri: str) -> None:
    chain = make_chain()
    view = RunView(make_pipeline(uri), key=chain[-1].id, stream_length=5)
    assert view.open([])
    again = RunView(make_pipeline(uri), key=chain[-1].id, stream_length=5)
    assert not again.open([])
    assert again.run_id == view.run_id


def test_commit_by_commit_is_the_same_as_all_at_once(uri: str, database: Path) -> None:
    chain = make_chain()
    view = open_view(uri)
    for length in range(1, 6):
        view.write(chain[:length])
    found = points(database)
    open_view(uri).write(chain)
    assert points(database) == found


def test_a_loss_step_is_written_once(uri: str, database: Path) -> None:
    """Workers that start again repeat steps, at another time."""
    view = open_view(uri)
    view.losses([Point(LOSS, 1.5, 1000, 5), Point(LOSS, 1.25, 2000, 10)])
    view.losses([Point(LOSS, 1.5, 7000, 5)])
    open_view(uri).losses([Point(LOSS, 1.25, 8000, 10), Point(LOSS, 1.0, 9000, 15)])
    assert [(step, time) for _, _, step, time, _ in points(database)] == [(5, 1000), (10, 2000), (15, 9000)]


def test_losses_seen_live_are_those_of_the_commit(uri: str, database: Path) -> None:
    chain = make_chain(1)
    live = list(loss_points(chain))
    view = open_view(uri)
    view.losses(live[3:10])
    view.write(chain)
    found = [(step, time) for name, key, step, time, _ in points(database) if key == LOSS]
    assert found == [(p.step, p.time) for p in live]


def test_status_goes_back_to_running_and_on_to_finished(uri: str, database: Path) -> None:
    chain = make_chain()
    view = open_view(uri)
    view.status("FAILED", chain[:1])
    ((_, status, _, end),) = parents(database)
    assert status == "FAILED"
    assert end is not None
    view = open_view(uri)
    view.status("RUNNING", [])
    assert [row[1] for row in parents(database)] == ["RUNNING"]
    view.write(chain)
    view.status("FINISHED", chain)
    assert [row[1] for row in parents(database)] == ["FINISHED"]


def test_complete_only_when_finished_at_the_commit_it_aims_at(uri: str) -> None:
    chain = make_chain()
    view = open_view(uri)
    assert not view.complete
    view.write(chain)
    assert not open_view(uri).complete
    view.status("FINISHED", chain)
    assert open_view(uri).complete


def test_a_run_of_commits_that_are_there_already_began_with_them(uri: str) -> None:
    view = open_view(uri, chain_length=2)
    info = connect(uri).get_run(str(view.run_id)).info
    assert info.start_time == make_chain()[0].losses[0][2]
