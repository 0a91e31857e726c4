"""Who has lost a claim writes nothing any more: stopped at every request to the store, and taken over there."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.checkpointing.checkpoint import Checkpoint
from orchestrator.errors import ClaimLost, MissingKey, StorageError
from orchestrator.lineage import claim as claims
from orchestrator.lineage.claim import Claim, claimed
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.fencing import NOTE_BYTES, Announced, is_note, write_fenced
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.maintenance.repair_store import repair
from orchestrator.storage.open_by_uri import open_store
from tests.orchestrator.lineage.chains import make_commit, write_chain
from tests.orchestrator.maintenance.lineages import SAMPLES, grow, sample_bytes

FORGOTTEN = range(SAMPLES)
"""The samples of experience 0: ids of `tests.orchestrator.maintenance.lineages.samples`."""


class Stopped:
    """A store that is left alone until its n-th request; then something else happens first.

    Requests of other threads have ended by then, and none begins: a process that stops itself there holds no lock.
    """

    def __init__(self, store: Any, number: int, act: Callable[[], None]) -> None:
        self._store, self._left, self._act = store, number, act
        self._gate, self._inside = threading.Condition(), 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(found) if callable(found) else found

    def _counted(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            with self._gate:
                self._gate.wait_for(lambda: self._left != 0)
                self._left -= 1
                if self._left == 0:
                    self._gate.wait_for(lambda: self._inside == 0)
                    self._act()
                    self._left = -1
                    self._gate.notify_all()
                self._inside += 1
            try:
                return request(*arguments)
            finally:
                with self._gate:
                    self._inside -= 1
                    self._gate.notify_all()

        return counted

    @property
    def reached(self) -> bool:
        return self._left <= 0


def stop_here() -> None:
    """Stop this process before this thread continues: a signal to the process may stop it some instructions later."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "0.05")
    monkeypatch.setattr(claims, "_machine", lambda: None)  # nobody sees the other's process
    monkeypatch.setattr(Claim, "_renew", lambda self: None)  # a stopped process renews nothing


def bytes_of(lineage: Lineage) -> Iterator[tuple[str, bytes]]:
    for key in lineage.store.list():
        yield key, lineage.store.get(key)


def holds_forgotten(lineage: Lineage) -> list[str]:
    return [key for key, data in bytes_of(lineage) if any(sample_bytes(i) in data for i in FORGOTTEN)]


def written(lineage: Lineage) -> dict[str, bytes]:
    """All that anybody can see: not notes, nor claims."""
    return {k: d for k, d in bytes_of(lineage) if not is_note(d) and "/claims/" not in k}


@contextmanager
def lost(lineage: Lineage, number: int, take_over: Callable[[], None]) -> Iterator[tuple[Lineage, Stopped]]:
    """A writer whose claim is taken over when it makes its n-th request."""
    with claimed(lineage, "run") as claim:
        store: Any = Stopped(lineage.store, number, take_over)
        yield Lineage(store, lineage.pipeline, claim.fence), store


def test_nothing_of_a_lost_run_is_seen_after_forget(tmp_path: Path) -> None:
    """Two commits with two blobs and a shard each, and the ref: stopped at each request of them all."""
    for number in itertools.count(1):
        lineage = Lineage(open_store(str(tmp_path / str(number))), "digits")
        seen: dict[str, bytes] = {}

        def take_over(lineage: Lineage = lineage, seen: dict[str, bytes] = seen) -> None:
            forget(lineage, FORGOTTEN)
            seen.update(written(lineage))

        with lost(lineage, number, take_over) as (writer, store):
            try:
                grow(writer, 2)
                break
            except ClaimLost as error:
                assert "lost its claim" in str(error) and error.exit_status == 3
        assert store.reached
        # Blobs without samples may still come: nothing names them.
        after = {key: data for key, data in written(lineage).items() if key in seen or "/blobs/" not in key}
        assert after == seen, number
        assert holds_forgotten(lineage) == [] == fsck(lineage).damage
        with claimed(lineage, "run"):
            pass
    assert number > 40
    assert not store.reached


def care(command: str, lineage: Lineage, source: Lineage) -> None:
    if command == "forget":
        forget(lineage, range(3))
    elif command == "gc":
        collect(lineage, keep=1, minimum_age=0)
    else:
        copy(source, lineage)


@pytest.mark.parametrize(("command", "taker"), [("forget", "gc"), ("forget", "run"), ("gc", "run"), ("copy", "gc")])
def test_nothing_of_a_lost_care_command_is_seen(command: str, taker: str, tmp_path: Path) -> None:
    """Neither the list of forgotten ids, nor a commit that names a shard that was collected as garbage meanwhile."""
    source = Lineage(open_store(str(tmp_path / "source")), "digits")
    grow(source, 2)
    forget(source, range(2))
    # `python -m tests.stops` stops at every request.
    for number in itertools.count(10, 7):
        lineage = Lineage(open_store(str(tmp_path / str(number))), "digits")
        if command != "copy":
            grow(lineage, 2)
        seen: dict[str, bytes] = {}
        begun: list[bool] = []

        def take_over(lineage: Lineage = lineage, seen: dict[str, bytes] = seen, begun: list[bool] = begun) -> None:
            begun.append(at_work(lineage))
            if taker == "gc":
                collect(lineage, minimum_age=0)
            else:
                with claimed(lineage, "run") as claim:
                    grow(lineage.fenced(claim.fence), 2, variant=2)
            seen.update(written(lineage))

        store: Any = Stopped(lineage.store, number, take_over)
        with suppress(StorageError):
            care(command, Lineage(store, "digits"), source)
        if not store.reached:
            break
        after = written(lineage)
        if begun == [True]:
            new = {key for key, data in after.items() if seen.get(key) != data and "/blobs/" not in key}
            assert not new, (number, new)
            # The deletion that was under way is carried out: of what was garbage then, and may be needed again.
            late = seen.keys() - after.keys()
            assert len(late) <= 1
            if late and taker == "run":
                repair(lineage, fsck)
                grow(lineage, 2, variant=2)
        care(command, lineage, source)  # and it can be finished
        assert fsck(lineage).damage == [], number
    assert number > 15


def at_work(lineage: Lineage) -> bool:
    """Whether a claim is held by somebody who has begun to work."""
    found = [Holder.parse(lineage.store.get(key), key) for key in lineage.store.list("digits/claims/")]
    return any(one.token is not None and not one.entering for one in found)


@pytest.mark.s3
@pytest.mark.parametrize("number", [3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 25])
def test_in_s3_too(number: int, s3_uri: str) -> None:
    lineage = Lineage(open_store(s3_uri), "digits")
    with lost(lineage, number, lambda: forget(lineage, FORGOTTEN) and None) as (writer, store):
        with pytest.raises(ClaimLost):
            grow(writer, 2)
        assert store.reached
    assert holds_forgotten(lineage) == []
    assert fsck(lineage).damage == []


@pytest.mark.parametrize("number", range(1, 9))
def test_no_checkpoint_of_a_lost_run_appears(number: int, tmp_path: Path) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "digits")
    data = Checkpoint(1, 2, [], {"model": {}}, {}).to_bytes()
    key = f"digits/runs/{'a' * 64}/{1:012}-{'b' * 64}.safetensors"
    with lost(lineage, number, lambda: collect(lineage, minimum_age=0) and None) as (writer, store):
        try:
            writer.put(key, data)
        except ClaimLost:
            assert store.reached
    if store.reached:
        assert not lineage.store.exists(key) or is_note(lineage.store.get(key))
    grow(lineage, 1)
    collect(lineage, minimum_age=-1)
    assert not [k for k, d in bytes_of(lineage) if is_note(d)]


def test_a_ref_move_that_was_under_way_fails(tmp_path: Path) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "digits")
    chain = write_chain(Lineage(lineage.store, "split-digits"), 2)
    lineage = Lineage(lineage.store, "split-digits")
    lineage.move_ref("latest", chain[0].id, None)

    def take_over() -> None:
        with claimed(lineage, "run") as claim:
            lineage.fenced(claim.fence).check_fence()

    for number in range(1, 5):  # the check, whether the commit is there, the ref, the swap
        before = lineage.ref("latest")
        assert before is not None
        with lost(lineage, number, take_over) as (writer, _), pytest.raises(StorageError):
            writer.move_ref("latest", chain[1].id, before.generation)
        assert lineage.stands("latest", chain[0].id)


def test_another_run_continues_where_a_lost_one_was(tmp_path: Path) -> None:
    """Its notes are no obstacle, and what it had written is reused."""
    store = open_store(str(tmp_path))
    expected = grow(Lineage(open_store(str(tmp_path / "other")), "digits"), 2)
    for number in range(1, 40, 3):
        lineage = Lineage(store, f"digits-{number}")

        def take_over(lineage: Lineage = lineage) -> None:
            with claimed(lineage, "run") as claim:
                assert [c.id for c in grow(lineage.fenced(claim.fence), 2)] == [c.id for c in expected]

        with lost(lineage, number, take_over) as (writer, store_):
            try:
                grow(writer, 2)
            except StorageError:
                assert store_.reached
        report = fsck(lineage)
        assert (report.damage, report.commits) == ([], 2)
        assert lineage.stands("latest", expected[1].id)


def test_two_that_may_write_at_once_end_with_one_commit(tmp_path: Path) -> None:
    """A search beside a run: each may write the commit of the other."""
    lineage = Lineage(open_store(str(tmp_path)), "split-digits")
    blobs = {"model": b"m"}
    commit = make_commit(0, None, blobs)
    with claimed(lineage, "search") as search, claimed(lineage, "run") as run:
        rival = lineage.fenced(search.fence)
        for number in range(1, 14):
            store: Any = Stopped(lineage.store, number, lambda: rival.write(commit, blobs.values()) and None)
            assert Lineage(store, "split-digits", run.fence).write(commit, blobs.values()) == commit
            lineage.store.delete(f"split-digits/commits/{commit.id}.json")


def test_a_note_stands_for_nothing(tmp_path: Path) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "split-digits")
    blobs = {"model": b"m"}
    commit = make_commit(0, None, blobs)
    key = f"split-digits/commits/{commit.id}.json"
    with claimed(lineage, "run") as claim:
        Announced(lineage.store, claim.fence, {key: commit.to_json()})
    assert lineage.store.size(key) == NOTE_BYTES
    assert not lineage.exists(commit.id)
    assert list(lineage.commits()) == lineage.find(commit.id[:8]) == []
    assert lineage.leading([commit.id]) == []
    with pytest.raises(MissingKey):
        lineage.read(commit.id)
    report = fsck(lineage)
    assert (report.damage, report.unreferenced) == ([], [key])
    lineage.write(commit, blobs.values())
    assert lineage.read(commit.id) == commit


def test_without_a_claim_nothing_is_written(tmp_path: Path) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "digits")
    with claimed(lineage, "run") as claim:
        pass
    with pytest.raises(ClaimLost):
        write_fenced(lineage.store, claim.fence, "digits/blobs/x", b"x")
    with pytest.raises(ClaimLost):
        grow(lineage.fenced(claim.fence), 1)
    assert [key for key in lineage.store.list() if "/claims/" not in key] == []


@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_clocks_that_are_set_change_nothing(jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "digits")
    real = time.time
    with claimed(lineage, "run") as claim:
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        chain = grow(lineage.fenced(claim.fence), 2)
    monkeypatch.setattr(time, "time", real)
    assert collect(lineage, minimum_age=0).commits == []
    assert fsck(lineage).usable == sorted(commit.id for commit in chain)


def test_a_stopped_process_that_wakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one, stopped by a signal in the middle of a commit, while its samples are forgotten."""
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "0.3")
    lineage = Lineage(open_store(str(tmp_path)), "digits")
    for number in (4, 9, 13, 17):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with lost(lineage, number, stop_here) as (writer, _):
                    grow(writer, 3, variant=number)
            except ClaimLost:
                status = 3
            finally:
                os._exit(status)
        assert os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1])
        forget(lineage, FORGOTTEN)
        before = written(lineage)
        os.kill(child, signal.SIGCONT)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert {k: d for k, d in written(lineage).items() if "/blobs/" not in k or k in before} == before
        assert holds_forgotten(lineage) == [] == fsck(lineage).damage
