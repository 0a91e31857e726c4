import os
import socket
from contextlib import nullcontext

import pytest

from orchestrator.cluster.connect import cluster, start_timeout
from orchestrator.errors import ClusterError
from pipelines.config.sections.scaling_section import ScalingSpec

TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
FIXED, ELASTIC = ScalingSpec(workers=2), ScalingSpec(workers=(1, 2))


@pytest.mark.parametrize(
    ("given", "scaling", "remote", "expected"),
    [
        (None, FIXED, False, 60),
        (None, FIXED, True, 300),  # a node may have to be started first
        ("900", FIXED, True, 900),
        # It takes what there is: to wait for more than that is to wait for a node that is lost.
        (None, ELASTIC, True, 30),
        ("900", ELASTIC, True, 30),
        ("5", ELASTIC, True, 5),
    ],
)
def test_how_long_workers_wait_for_their_placement(
    given: str | None, scaling: ScalingSpec, remote: bool, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TIMEOUT, raising=False)
    if given is not None:
        monkeypatch.setenv(TIMEOUT, given)
    assert start_timeout(scaling, remote=remote) == expected


def test_the_settings_of_one_run_are_not_those_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.cluster.connect._connected", lambda *_, **__: nullcontext())
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "1")
    monkeypatch.delenv(TIMEOUT, raising=False)
    import ray  # noqa: F401 (it sets one, too)

    before = dict(os.environ)
    for scaling, expected in ((ELASTIC, "30"), (FIXED, "300")):
        with cluster("head:6379", scaling):
            assert os.environ[TIMEOUT] == expected
            assert os.environ["RAY_CHDIR_TO_TRIAL_DIR"] == "1"  # who says something else knows why
            assert os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] == "0.2"
        assert dict(os.environ) == before


def test_a_local_ray_that_does_not_start_names_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", os.devnull)  # its session folder cannot be made there
    with pytest.raises(ClusterError, match="Ray did not start on this machine: ") as raised, cluster(None, FIXED):
        pass
    text = str(raised.value)
    assert "address" not in text and "ray status" not in text and "--verbose" in text
    assert len(text.splitlines()) == 2


def test_an_address_at_which_nothing_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nothing listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClusterError, match=f"Ray cluster at {address} cannot be reached"), cluster(address, FIXED):
            pass


def test_a_dead_address_of_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ClusterError, match="unset RAY_ADDRESS to use this machine"), cluster(None, FIXED):
            pass


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_address_of_a_dashboard_is_not_that_of_a_cluster(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{scheme}://head:8265"
    with pytest.raises(ClusterError, match=r"--address=.* is the address of a dashboard"), cluster(address, FIXED):
        pass
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ClusterError) as raised, cluster(None, FIXED):
        pass
    text = str(raised.value)
    assert text.startswith(f"RAY_ADDRESS={address} is ") and "everlearn submit" in text
    assert "unset RAY_ADDRESS to use this machine" in text and len(text.splitlines()) == 2


def test_a_cluster_of_the_environment_that_is_none_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    with pytest.raises(ClusterError, match="unset RAY_ADDRESS to use this machine"), cluster(None, FIXED):
        pass
