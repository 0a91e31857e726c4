"""A whole stream is learned while the S3 server misbehaves: the run ends, and with what a calm server gives."""

from __future__ import annotations

import itertools
import random
import threading
import time
from pathlib import Path

import pytest

from orchestrator.storage.open_by_uri import open_store
from tests.faults.invariants import violations
from tests.faults.test_interrupted import finish, lineage, pipeline, result
from tests.faults.victim import Victims
from tests.s3.proxy import FAULTS, FaultyProxy, Rule
from tests.s3.server import S3Server, s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]

pytestmark = [pytest.mark.s3, pytest.mark.slow]

STRATEGY = "[{name: ewc, lambda: 10, samples: 100}, {name: replay, capacity: 50}]"


def sometimes(share: float, seed: int) -> Rule:
    """Any fault, at random, but never so often in a row that it is an outage."""
    chosen, calm = random.Random(seed), itertools.count()
    quiet_until = 0

    def rule(method: str, path: str, headers: dict[str, str]) -> str | None:
        nonlocal quiet_until
        now = next(calm)
        if now < quiet_until or chosen.random() > share:
            return None
        quiet_until = now + 2
        return chosen.choice(FAULTS)

    return rule


def slow_downs(count: int) -> Rule:
    """A server that refuses in bursts: out of fifteen requests, the first `count`."""
    number = itertools.count()
    return lambda *_: "slow down" if next(number) % 15 < count else None


def slow(seconds: float) -> Rule:
    def rule(method: str, path: str, headers: dict[str, str]) -> None:
        time.sleep(seconds)

    return rule


@pytest.mark.parametrize(
    "rule", [sometimes(0.2, 1), slow_downs(3), slow(0.1)], ids=["faults at random", "SlowDown in bursts", "slow"]
)
def test_a_server_that_misbehaves(
    rule: Rule, s3_uri: str, s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm, rough = pipeline(tmp_path, STRATEGY, 2), pipeline(tmp_path, STRATEGY, 2).replace(str(tmp_path), s3_uri)
    with FaultyProxy(s3_server.port, rule).running() as proxy, monkeypatch.context() as behind:
        behind.setenv("AWS_ENDPOINT_URL", proxy.url)
        with Victims() as victims:
            finish(victims, calm)
            finish(victims, rough)
    assert violations(lineage(rough)) == []
    assert result(rough) == result(calm)
    # Every upload in parts, every lost answer has left no more than there should be.
    names = {key.rpartition("/")[2] for key in open_store(s3_uri).list("digits/commits/")}
    assert len(names) == 2


def test_a_server_that_is_killed_and_comes_back(s3_uri: str, s3_server: S3Server, tmp_path: Path) -> None:
    calm, rough = pipeline(tmp_path, STRATEGY, 2), pipeline(tmp_path, STRATEGY, 2).replace(str(tmp_path), s3_uri)
    store = open_store(s3_uri)
    with Victims() as victims:
        finish(victims, calm)

        def crash() -> None:
            while not list(store.list("digits/commits/")):
                time.sleep(0.01)
            s3_server.crash()
            time.sleep(1)
            s3_server.start()

        crashing = threading.Thread(target=crash)
        crashing.start()
        finish(victims, rough)
        crashing.join()
    assert violations(lineage(rough)) == []
    assert result(rough) == result(calm)
