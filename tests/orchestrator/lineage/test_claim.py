"""Claims: one at a time, expiring when their holder is gone, whoever's clock says what.

Covers: `orchestrator/lineage/claim_holder.py`
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import Claimed, StorageError
from orchestrator.lineage import claim as module
from orchestrator.lineage.claim import claimed, lease_seconds
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store

KEY = "split-digits/claims/run.json"
# Holds a claim until it is killed.
HOLD = """
import sys, time
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
with claimed(Lineage(open_store(sys.argv[1]), "split-digits"), sys.argv[2], target="t"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "2.4")


def hold(lineage: Lineage, purpose: str = "run") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lineage.store.uri, purpose], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process ran on another machine than all others: it cannot see theirs."""
    monkeypatch.setattr(module, "_machine", lambda: "another machine")


def wait_for(condition: Callable[[], bool]) -> None:
    """As long as a loaded machine may take."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a heartbeat fails."""
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: pytest.fail("it waited for a heartbeat"))
    monkeypatch.setattr(module, "time", clock)


@pytest.mark.usefixtures("no_waiting")
def test_the_later_one_names_the_other(lineage: Lineage) -> None:
    process = hold(lineage)
    try:
        with pytest.raises(Claimed) as caught, claimed(lineage, "run"):
            pass
        message = str(caught.value)
        assert f"host {socket.gethostname()}, process {process.pid}, since 20" in message
        assert lineage.store.uri in message and "reused" in message
        assert len(message.splitlines()) <= 3
    finally:
        process.kill()
        process.wait()


def test_one_on_another_machine_is_seen_to_be_alive(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    process = hold(lineage)
    elsewhere(monkeypatch)
    warnings: list[str] = []
    try:
        with (
            pytest.raises(Claimed, match=f"process {process.pid}"),
            claimed(lineage, "run", on_warning=warnings.append),
        ):
            pass
        assert "next heartbeat" in warnings[0]
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("no_waiting")
def test_a_killed_holder_on_this_machine_is_no_obstacle(lineage: Lineage) -> None:
    process = hold(lineage)
    process.send_signal(signal.SIGKILL)
    # It has ended, and stays a zombie, which holds nothing either.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with claimed(lineage, "run") as claim:
        assert not claim.lost
    process.wait()


def test_a_killed_holder_elsewhere_is_waited_for_a_lease(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    process = hold(lineage)
    process.kill()
    process.wait()
    elsewhere(monkeypatch)
    started = time.monotonic()
    with claimed(lineage, "run"):
        assert time.monotonic() - started >= 2.4


def test_a_stopped_holder_loses_its_claim_and_says_so(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspended machine: when it wakes up, it does not take the claim back."""
    process = hold(lineage)
    try:
        elsewhere(monkeypatch)
        process.send_signal(signal.SIGSTOP)
        with claimed(lineage, "run") as claim:
            process.send_signal(signal.SIGCONT)
            time.sleep(2)
            assert not claim.lost
            assert Holder.parse(lineage.store.get(KEY), "").pid == os.getpid()
    finally:
        process.kill()
        process.wait()


def test_the_one_that_lost_hears_of_it_and_leaves_the_other_alone(lineage: Lineage) -> None:
    warnings: list[str] = []
    with claimed(lineage, "run", on_warning=warnings.append) as claim:
        rival = Holder(token="rival", host="h", pid=1, lease=60.0)
        lineage.store.put(KEY, rival.to_json())
        wait_for(lambda: claim.lost)
    assert len(warnings) == 1 and "was lost" in warnings[0]
    assert Holder.parse(lineage.store.get(KEY), "") == rival


def test_a_claim_is_renewed_for_as_long_as_it_is_held(lineage: Lineage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "0.9")
    with claimed(lineage, "run"):
        first = Holder.parse(lineage.store.get(KEY), "")
        wait_for(lambda: Holder.parse(lineage.store.get(KEY), "").beat > first.beat + 2)
        later = Holder.parse(lineage.store.get(KEY), "")
    assert later.model_copy(update={"beat": first.beat}) == first
    assert Holder.parse(lineage.store.get(KEY), "").token is None


def test_released_it_is_free_at_once_also_after_a_failure(lineage: Lineage) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError), claimed(lineage, "run"):
            raise RuntimeError
    # A claim that this very process could not release, because the storage was away.
    with claimed(lineage, "run") as left:
        data = lineage.store.get(KEY)
    lineage.store.put(KEY, data)
    assert left.key == KEY
    with claimed(lineage, "run"):
        pass


@pytest.mark.parametrize("care", ["gc", "forget", "copy"])
def test_who_excludes_whom(care: Any, lineage: Lineage) -> None:
    with claimed(lineage, "run"), claimed(lineage, "search"), claimed(lineage, "search"):
        refused = pytest.raises(Claimed, match=r"another run|a search")
        with refused, claimed(lineage, care):
            pass
    with claimed(lineage, care):
        for purpose in ("run", "search", "gc", "copy"):
            with pytest.raises(Claimed, match=f"everlearn {care}"), claimed(lineage, purpose):  # type: ignore[arg-type]
                pass
    with claimed(lineage, care):
        pass
    assert sorted(lineage.store.list("split-digits/claims/")) == ["split-digits/claims/care.json", KEY]


def test_another_pipeline_is_another_matter(lineage: Lineage) -> None:
    with claimed(lineage, "run"), claimed(Lineage(lineage.store, "other"), "run"):
        pass


def test_a_search_that_was_killed_is_cleared_away_by_gc(lineage: Lineage) -> None:
    process = hold(lineage, "search")
    process.kill()
    process.wait()
    with claimed(lineage, "gc"):
        pass
    assert [key for key in lineage.store.list("split-digits/claims/") if "search" in key] == []


def _race(uri: str, begin: Any, answers: Any, end: Any) -> None:
    lineage = Lineage(open_store(uri), "split-digits")
    begin.wait()
    try:
        with claimed(lineage, "run"):
            answers.put("held")
            end.wait(60)
    except Claimed:
        answers.put("refused")
    except BaseException as error:
        answers.put(repr(error))


def test_of_several_at_once_one_gets_it(lineage: Lineage) -> None:
    context = multiprocessing.get_context("spawn")
    begin, answers, end = context.Barrier(4), context.Queue(), context.Event()
    processes = [context.Process(target=_race, args=(lineage.store.uri, begin, answers, end)) for _ in range(4)]
    for process in processes:
        process.start()
    found = sorted(answers.get(timeout=60) for _ in processes)
    end.set()
    for process in processes:
        process.join()
    assert found == ["held", "refused", "refused", "refused"]


def _enter(uri: str, purpose: Any, begin: Any, answers: Any, end: Any) -> None:
    lineage = Lineage(open_store(uri), "split-digits")
    for number in range(12):
        begin.wait()
        try:
            with claimed(Lineage(lineage.store, f"p{number}"), purpose):
                answers.put("held")
                end.wait()
        except Claimed:
            answers.put("refused")
            end.wait()
        except BaseException as error:
            answers.put(repr(error))
            end.wait()


def test_of_several_kinds_at_once_one_gets_it(tmp_path: Path) -> None:
    """Each sees the others before any of them is at work: not all of them give way."""
    context = multiprocessing.get_context("fork")
    purposes = ["run", "gc", "forget", "run"]
    begin, answers, end = context.Barrier(5), context.Queue(), context.Barrier(5)
    processes = [context.Process(target=_enter, args=(str(tmp_path), p, begin, answers, end)) for p in purposes]
    for process in processes:
        process.start()
    rounds = []
    for _ in range(12):
        begin.wait(60)
        rounds.append(sorted(answers.get(timeout=60) for _ in purposes))
        end.wait(60)
    for process in processes:
        process.join()
    assert rounds == [["held", "refused", "refused", "refused"]] * 12


def test_a_damaged_claim_is_named(lineage: Lineage) -> None:
    lineage.store.put(KEY, b"{}junk")
    with pytest.raises(StorageError, match=r"claims/run\.json: this claim is damaged"), claimed(lineage, "run"):
        pass


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "soon", "nan"])
def test_a_lease_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", text)
    with pytest.raises(StorageError, match="EVERLEARN_CLAIM_LEASE"):
        lease_seconds()


def test_a_storage_that_is_away_for_a_moment_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "split-digits")
    with claimed(lineage, "run") as claim:
        real = lineage.store.compare_and_swap

        asked: list[str] = []

        def away(*arguments: Any) -> bool:
            asked.append(arguments[0])
            raise StorageError("away")

        before = Holder.parse(lineage.store.get(KEY), "").beat
        monkeypatch.setattr(lineage.store, "compare_and_swap", away)
        wait_for(lambda: bool(asked))
        monkeypatch.setattr(lineage.store, "compare_and_swap", real)
        wait_for(lambda: Holder.parse(lineage.store.get(KEY), "").beat > before)
        assert not claim.lost
    assert Holder.parse(lineage.store.get(KEY), "").token is None
