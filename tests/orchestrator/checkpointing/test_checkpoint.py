"""Resuming in the middle of an experience, exactly."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.checkpointing.checkpoint import Checkpoint, latest_checkpoint, remove_checkpoints
from orchestrator.errors import CorruptBlob
from orchestrator.events import CheckpointWritten, Event, Resumed, Warned
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.tensors import decode, decode_metadata, encode
from orchestrator.training.rank import RankTraining
from pipelines.build import make_stream
from pipelines.config.load import load_text
from strategies.loop.process_group import Group
from strategies.memory.reservoir import Memory
from strategies.registry import BUILT_IN

COMBINATIONS = [
    *(f"[{{name: {name}}}]" for name in BUILT_IN),
    "[{name: ewc, lambda: 10}, {name: replay, capacity: 50}]",
]


ONLINE = [
    "[{name: ewc, mode: online, every: 7, samples: 20}, {name: replay, capacity: 50}]",
    "[{name: der, capacity: 40}]",
]


class Killed(Exception):
    """Stands for the end of the process."""


class Awaited(ThreadPoolExecutor):
    """Training waits for each checkpoint: otherwise the speed of the disk decides how many are taken."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        future = super().submit(function, *args, **named)
        wait([future])
        return future


@pytest.fixture
def every_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.checkpointing.checkpoint.ThreadPoolExecutor", Awaited)


COLUMNS = [("[{name: ewc, lambda: 10}, {name: replay, capacity: 50}]", False, o) for o in ("regression", "multi-label")]


def columns(folder: Path, objective: str) -> str:
    """A stream of two domains whose targets have two columns, as a part of a pipeline file."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain in range(2):
        inputs = np.random.default_rng(domain).random((240, 3), np.float32)
        numbers = np.stack([1000 + 30 * inputs[:, 0] + domain, inputs[:, 1]], 1)
        np.savez(folder / f"{domain}.npz", x=inputs, y=numbers if objective == "regression" else inputs[:, :2] > 0.6)
    return f"{{dataset: {{name: npz, path: {folder}}}, setting: domain-incremental}}\nobjective: {objective}"


def rank_training(
    folder: Path, strategy: str, on_event: Any, online: bool = False, every: int = 5, objective: str = "classification"
) -> RankTraining:
    stream = f"{{dataset: digits, setting: task-incremental, order: [[0, 1], [2, 3]], online: {str(online).lower()}}}"
    if objective != "classification":
        stream = columns(folder / "data", objective)
    length = "epochs: 1, batch_size: 7" if online else "epochs: 3, batch_size: 20"
    pipeline = load_text(
        f"name: c\nstream: {stream}\nmodel: {{name: mlp, hidden: [12]}}\nstrategy: {strategy}\nstorage: {folder}\n"
        f"train: {{{length}, checkpoint_every: {every}, optimizer: {{name: adam}}, warmup: 10}}\n"
    )
    made = make_stream(pipeline)
    return RankTraining(
        pipeline=pipeline,
        stream=made,
        plan=make_plan(pipeline, made),
        lineage=Lineage(open_store(pipeline.storage), pipeline.name),
        group=Group(),
        device=torch.device("cpu"),
        on_event=on_event,
    )


def blobs(made: RankTraining) -> list[Any]:
    return [
        (made.lineage.read(p.id).blobs, made.lineage.read(p.id).memories, made.lineage.read(p.id).row)
        for p in made.plan
    ]


@pytest.mark.parametrize(
    ("strategy", "online", "objective"),
    [
        *((s, False, "classification") for s in COMBINATIONS),
        *((s, True, "classification") for s in ONLINE),
        *COLUMNS,
    ],
)
@pytest.mark.usefixtures("every_checkpoint")
def test_a_run_that_is_killed_in_an_experience_continues_to_the_same_commits(
    strategy: str, online: bool, objective: str, tmp_path: Path
) -> None:
    undisturbed = rank_training(tmp_path / "a", strategy, lambda event: None, online, objective=objective)
    undisturbed.run()
    written: list[int] = []

    def die_at_the_second(event: Event) -> None:
        if isinstance(event, CheckpointWritten):
            written.append(event.step)
            if len(written) == 2:
                raise Killed

    events: list[Event] = []
    interrupted = rank_training(tmp_path / "b", strategy, die_at_the_second, online, objective=objective)
    for _ in range(2):  # once in each experience
        written.clear()
        with pytest.raises(Killed):
            interrupted.run()
    again = rank_training(tmp_path / "b", strategy, events.append, online, objective=objective)
    again.run()
    resumed = [event for event in events if isinstance(event, Resumed)]
    assert [event.step for event in resumed] == [written[-1]] if written else resumed
    assert blobs(again) == blobs(undisturbed)
    for kept, other in zip(again.plan, undisturbed.plan, strict=True):
        mine, theirs = again.lineage.read(kept.id), undisturbed.lineage.read(other.id)
        assert [point[:2] for point in mine.losses] == [point[:2] for point in theirs.losses]
        assert latest_checkpoint(again.lineage, kept.id, Group()) is None


def test_the_seconds_before_an_interruption_count(tmp_path: Path) -> None:
    def kill(event: Event) -> None:
        if isinstance(event, CheckpointWritten):
            raise Killed

    made = rank_training(tmp_path, "[{name: naive}]", kill)
    with pytest.raises(Killed):
        made.run()
    kept = latest_checkpoint(made.lineage, made.plan[0].id, Group())
    assert kept is not None and kept.seconds > 0
    key = next(iter(made.lineage.store.list("c/runs/")))
    long_ago = dataclasses.replace(kept, seconds=5000.0).to_bytes()
    made.lineage.store.delete(key)
    made.lineage.store.put(
        f"{key.rpartition('/')[0]}/{kept.step:012}-{hashlib.sha256(long_ago).hexdigest()}.safetensors", long_ago
    )
    made.on_event = lambda event: None
    made.run()
    assert 5000 < made.lineage.read(made.plan[0].id).timings["learn"] < 6000
    assert made.lineage.read(made.plan[1].id).timings["learn"] < 1000


@pytest.mark.usefixtures("every_checkpoint")
def test_a_node_that_is_taken_away_is_a_reason_for_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At once in each experience, and not again before so many seconds have passed.
    for name, preempted, urgent in (("calm", False, 0.0), ("warned", True, 3600.0), ("again", True, 0.0)):
        monkeypatch.setattr("orchestrator.checkpointing.checkpoint.URGENT", urgent)
        events: list[Event] = []
        made = rank_training(tmp_path / name, "[{name: naive}]", events.append, every=1000)
        made.preempted = lambda told=preempted: told
        made.run()
        kinds = [type(event) for event in events]
        checkpoints = kinds.count(CheckpointWritten)
        assert checkpoints > 2 if name == "again" else checkpoints == 2 * preempted
        assert kinds.count(Warned) == 2 * preempted


def test_the_shards_of_an_online_stream_are_written_once(tmp_path: Path) -> None:
    made = rank_training(tmp_path, ONLINE[0], lambda event: None, online=True)
    made.run()
    first, second = (made.lineage.read(planned.id).memories["replay"].shards for planned in made.plan)
    assert [shard.experience for shard in second] == [0, 1]
    assert second[0].sha256 == first[0].sha256
    assert second[0].lengths["all"] < first[0].lengths["all"] == 50 == sum(shard.lengths["all"] for shard in second)


def make_checkpoint(step: int = 7) -> Checkpoint:
    memory = Memory(5)
    memory.add(0, {"ids": torch.arange(9), "targets": torch.zeros(9, dtype=torch.int64), "inputs": torch.rand(9, 2)})
    state = {"model": {"a|b.weight": torch.rand(3)}, "optimizer": {"a|b.weight/step": torch.tensor(4.0)}}
    return Checkpoint(step, 140, [(5, 0.25, 1_700_000_000_000)], state, {"replay": memory.shards()})


def test_a_checkpoint_is_one_file_and_reads_back() -> None:
    made = make_checkpoint()
    read = Checkpoint.from_bytes(made.to_bytes())
    assert (read.step, read.samples, read.points) == (7, 140, made.points)
    assert torch.equal(read.state["model"]["a|b.weight"], made.state["model"]["a|b.weight"])
    assert read.state["optimizer"]["a|b.weight/step"] == 4
    (shard,) = read.memories["replay"]
    assert torch.equal(shard.tensors["ids"], made.memories["replay"][0].tensors["ids"])
    assert dict(shard.lengths) == {"all": 5}


@given(st.binary(min_size=1, max_size=200), st.integers(0, 400))
def test_what_is_no_checkpoint_is_refused(junk: bytes, at: int) -> None:
    good = make_checkpoint().to_bytes()
    # Foreign bytes, cut off, too long, with something in between.
    for data in (junk, good[: -len(junk)], good + junk, good[:at] + junk + good[at:]):
        with pytest.raises(CorruptBlob):
            Checkpoint.from_bytes(data)


def test_an_empty_file_is_no_checkpoint() -> None:
    with pytest.raises(CorruptBlob):
        Checkpoint.from_bytes(b"")


@given(st.binary(min_size=1, max_size=200), st.integers(0, 400))
def test_bytes_that_changed_in_place_are_refused_or_read_as_numbers_that_may_be(junk: bytes, at: int) -> None:
    good = make_checkpoint().to_bytes()
    try:
        read = Checkpoint.from_bytes((good[:at] + junk + good[at + len(junk) :])[: len(good)])
    except CorruptBlob:
        return
    # Whether they are the bytes that were written, the SHA-256 in the checkpoint's name says.
    assert 0 <= read.step < 2**63 and 0 <= read.samples < 2**63 and read.seconds >= 0
    assert all(0 <= step < 2**63 and 0 <= at < 2**63 for step, _, at in read.points)


@pytest.mark.parametrize("change", [
    {"step": -1}, {"step": True}, {"step": 2**63}, {"step": 1.5}, {"step": None},
    {"samples": -1}, {"samples": "140"},
    {"points": [[5, 0.25]]}, {"points": [[-5, 0.25, 0]]}, {"points": [[5, "low", 0]]}, {"points": None},
    {"shards": [{"memory": "replay"}]},
    {"shards": [{"memory": "replay", "experience": 0, "lengths": {"all": 5}, "at": "memory.7"}]},
    {"shards": [{"memory": "replay", "experience": -1, "lengths": {"all": 5}, "at": "memory.0"}]},
    {"shards": [{"memory": "replay", "experience": 0, "lengths": {"all": -5}, "at": "memory.0"}]},
    {"shards": [{"memory": "replay", "experience": 0, "lengths": 5, "at": "memory.0"}]},
    {"seconds": "long"},
])  # fmt: skip
def test_a_checkpoint_whose_numbers_cannot_be_is_refused(change: dict[str, Any]) -> None:
    good = make_checkpoint().to_bytes()
    notes = json.loads(decode_metadata(good)["notes"])
    with pytest.raises(CorruptBlob, match="not a checkpoint"):
        Checkpoint.from_bytes(encode(decode(good), {"format": "1", "notes": json.dumps({**notes, **change})}))


def test_a_checkpoint_without_notes_or_of_another_format_is_refused() -> None:
    good = make_checkpoint().to_bytes()
    notes = decode_metadata(good)["notes"]
    assert Checkpoint.from_bytes(encode(decode(good), {"format": "1", "notes": notes})).step == 7
    for metadata in ({}, {"format": "1"}, {"notes": notes}, {"format": "2", "notes": notes}):
        with pytest.raises(CorruptBlob, match="not a checkpoint"):
            Checkpoint.from_bytes(encode(decode(good), metadata))


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    lineage = Lineage(open_store(str(tmp_path)), "p")
    planned = "0" * 64
    early, late = make_checkpoint(3).to_bytes(), make_checkpoint(9).to_bytes()
    prefix = f"p/runs/{planned}/"
    lineage.store.put(f"{prefix}{3:012}-{hashlib.sha256(early).hexdigest()}.safetensors", early)
    lineage.store.put(f"{prefix}{9:012}-{hashlib.sha256(late).hexdigest()}.safetensors", late[:-1])
    # Whole, but not what was written under this name.
    other = make_checkpoint(12).to_bytes()
    lineage.store.put(f"{prefix}{12:012}-{hashlib.sha256(late).hexdigest()}.safetensors", other)
    found = latest_checkpoint(lineage, planned, Group())
    assert found is not None
    assert found.step == 3
    remove_checkpoints(lineage, planned)
    assert latest_checkpoint(lineage, planned, Group()) is None
