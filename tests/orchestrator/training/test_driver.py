"""Two drivers on one pipeline and storage: the later one reports the other, and takes over when that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.errors import Claimed
from orchestrator.events import CommitWritten, Event, Warned
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.progress.run_reporter import Reporter
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train

CLAIM = "digits/claims/run.json"


class Recording(Reporter):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)


def written(folder: Path, epochs: int = 1) -> Path:
    file = folder / "digits.yaml"
    file.write_text(
        "name: digits\nstream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3], [4, 5]]}\n"
        "model: {name: mlp, hidden: [16]}\nstrategy: [{name: replay, capacity: 40}]\n"
        f"train: {{epochs: {epochs}, batch_size: 10, optimizer: {{name: adam}}}}\n"
        f"storage: {folder}/store\ntracking: {{uri: 'http://127.0.0.1:9'}}\n"
    )
    return file


def made(file: Path) -> tuple[Pipeline, Lineage]:
    pipeline = load_text(file.read_text(), "digits.yaml")
    return pipeline, Lineage(open_store(pipeline.storage), pipeline.name)


@contextmanager
def driver(file: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, which ends with the block."""
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.main", "run", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_second_driver_is_refused_and_takes_over_when_the_first_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "3")
    file = written(tmp_path)
    pipeline, lineage = made(file)
    with driver(file) as first:
        wait_for(lambda: lineage.store.exists(CLAIM))
        first.send_signal(signal.SIGSTOP)
        with driver(file) as second:
            output, _ = second.communicate(timeout=120)
        assert second.returncode == 3, output
        assert f"process {first.pid}, since" in output
        assert "Traceback" not in output
        assert first.poll() is None
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    # As if it was killed on a machine that cannot be asked: its claim has to expire.
    holder = Holder.parse(lineage.store.get(CLAIM), "")
    assert holder.token is not None and holder.pid == first.pid
    lineage.store.put(CLAIM, holder.model_copy(update={"machine": "elsewhere"}).to_json())
    reporter = Recording()
    result = run(pipeline, reporter=reporter)
    assert any("next heartbeat" in event.text for event in reporter.events if isinstance(event, Warned))
    assert (result.trained, result.reused) == (3, 0)
    assert Holder.parse(lineage.store.get(CLAIM), "").token is None
    assert fsck(lineage).damage == []


def test_what_the_other_made_of_the_same_plan_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other finishes while this one waits for a heartbeat."""
    from orchestrator.lineage import claim

    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "60")
    pipeline, lineage = made(written(tmp_path))
    with claimed(lineage, "run") as other:
        held = lineage.store.get(CLAIM)
    # Held by a machine that cannot be asked; when it is first looked at, its work is done.
    lineage.store.put(CLAIM, Holder.parse(held, "").model_copy(update={"machine": "elsewhere"}).to_json())
    assert other.key == CLAIM
    ids: list[str] = []

    def finish(seconds: float) -> None:
        if not ids:
            ids.extend(train(pipeline))
            lineage.store.put(CLAIM, Holder().to_json())

    monkeypatch.setattr(claim, "time", SimpleNamespace(monotonic=time.monotonic, sleep=finish))
    reporter = Recording()
    result = run(pipeline, reporter=reporter)
    assert result.lineage == ids
    assert (result.trained, result.reused) == (0, 3)
    assert [event.commit["id"] for event in reporter.events if isinstance(event, CommitWritten)] == ids


def test_a_run_with_nothing_to_do_needs_no_claim(tmp_path: Path) -> None:
    pipeline, lineage = made(written(tmp_path))
    train(pipeline)
    with claimed(lineage, "run"):
        assert run(pipeline).trained == 0
    assert run(pipeline).reused == 3
    lineage.store.delete("digits/refs/latest.json")
    # To move the ref is to write.
    with claimed(lineage, "run"), pytest.raises(Claimed):
        run(pipeline)


def test_a_ref_that_was_set_back_is_noticed(tmp_path: Path) -> None:
    """By hand, or from an old copy of the storage; a killed run leaves it one commit behind."""
    pipeline, lineage = made(written(tmp_path))
    ids = train(pipeline)
    for place, noticed in ((0, True), (1, False)):
        lineage.point("latest", ids[place])
        reporter = Recording()
        assert run(pipeline, reporter=reporter).trained == 0
        told = [event.text for event in reporter.events if isinstance(event, Warned) and "set back" in event.text]
        assert bool(told) == noticed
        assert all(ids[0][:12] in text and "2 later commits" in text for text in told)
        assert lineage.stands("latest", ids[2])
