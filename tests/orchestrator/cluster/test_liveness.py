"""Work that ends when Ray does: what happens to values, errors and threads. Ray is killed in tests/faults."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import ray

from orchestrator.cluster import liveness
from orchestrator.cluster.liveness import while_ray_lives
from orchestrator.errors import ClusterError, RayDied

NAMES = {"everlearn-work", "everlearn-heartbeat"}


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Something that listens where the head of a cluster would."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr(liveness.ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address=address))
        monkeypatch.setattr(liveness, "_PERIOD", 0.01)
        monkeypatch.setattr(liveness, "_GRACE", 0.0)
        yield listener


def test_a_value_or_an_error_is_handed_on_and_no_thread_is_left(head: socket.socket) -> None:
    assert while_ray_lives(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        while_ray_lives(lambda: 1 / 0)
    with pytest.raises(ray.exceptions.RayActorError):
        while_ray_lives(lambda: (_ for _ in ()).throw(ray.exceptions.RayActorError()))
    with pytest.raises(ClusterError, match="Ray ended the work"):
        while_ray_lives(lambda: (_ for _ in ()).throw(SystemExit(1)))
    assert not NAMES & {thread.name for thread in threading.enumerate()}


def test_a_head_that_stops_answering_ends_the_wait(head: socket.socket) -> None:
    released = threading.Event()

    def work() -> None:
        head.close()
        released.wait(60)

    with pytest.raises(RayDied, match="its head at 127"):
        while_ray_lives(work)
    released.set()


def test_an_error_of_ray_is_the_end_of_ray_where_the_head_is_gone(head: socket.socket) -> None:
    def work() -> None:
        head.close()
        raise ray.exceptions.RayActorError

    with pytest.raises(RayDied):
        while_ray_lives(work)


def test_in_a_trial_s_thread_the_work_stays_there() -> None:
    found: list[str] = []
    thread = threading.Thread(
        target=lambda: found.append(while_ray_lives(lambda: threading.current_thread().name)), name="a-trial"
    )
    thread.start()
    thread.join()
    assert found == ["a-trial"]
