import os
from contextlib import nullcontext

import pytest

from orchestrator.cluster.connect import cluster, start_timeout
from pipelines.config.schema import ScalingSpec

TIMEOUT = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
FIXED, ELASTIC = ScalingSpec(workers=2), ScalingSpec(workers=(1, 2))


@pytest.mark.parametrize(
    ("given", "scaling", "standing", "expected"),
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
def test_how_long_workers_wait_for_their_places(
    given: str | None, scaling: ScalingSpec, standing: bool, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TIMEOUT, raising=False)
    if given is not None:
        monkeypatch.setenv(TIMEOUT, given)
    assert start_timeout(scaling, standing=standing) == expected


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
