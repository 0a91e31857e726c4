"""One rank's part in a stream, without Ray: what is trained, what is told, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.events import CommitWritten, Event, StageStarted
from orchestrator.lineage.forgotten_ids import add_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.build import make_stream
from pipelines.config.load import load_text
from strategies.loop.process_group import Group
from tests.orchestrator.maintenance.lineages import put_checkpoint
from tests.processes import Processes

TEXT = """
name: digits
stream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3], [4, 5]]}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 30}]
train: {epochs: 1, batch_size: 32}
"""


def rank_training(folder: Path, events: list[Event], until: int = 3, *, more: str = "", **fields: Any) -> RankTraining:
    pipeline = load_text(f"{TEXT}storage: {folder}\n{more}")
    stream = make_stream(pipeline)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    plan = make_plan(pipeline, stream)[:until]
    return RankTraining(pipeline, stream, plan, lineage, Group.current(), torch.device("cpu"), events.append, **fields)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_what_is_left_is_trained_and_told(tmp_path: Path) -> None:
    first, second, third = list[Event](), list[Event](), list[Event]()
    made = rank_training(tmp_path, first, until=1)
    made.run()
    assert kinds(first).count("commit") == 1
    stages = [event.stage for event in first if isinstance(event, StageStarted)]
    assert stages == ["consolidating", "evaluating", "committing"]
    whole = rank_training(tmp_path, second)
    whole.run()
    assert [event.commit["experience"]["index"] for event in second if isinstance(event, CommitWritten)] == [1, 2]
    rank_training(tmp_path, third).run()
    assert third == []
    chain = whole.lineage.chain(whole.plan[-1].id)
    assert [len(commit.row) for commit in chain] == [3, 3, 3]
    # What an untrained model reaches is measured once.
    assert [len(commit.baseline) for commit in chain] == [3, 0, 0]
    assert chain[0].quality is not None and chain[0].quality.flips is None
    assert all({"learn", "consolidate", "evaluate"} <= commit.timings.keys() for commit in chain)


def test_two_invocations_equal_one(tmp_path: Path) -> None:
    for until in (1, 3):
        rank_training(tmp_path / "two", [], until=until).run()
    one = rank_training(tmp_path / "one", [])
    one.run()
    two = rank_training(tmp_path / "two", [])
    for planned in one.plan:
        mine, theirs = one.lineage.read(planned.id), two.lineage.read(planned.id)
        assert (mine.blobs, mine.memories, mine.row) == (theirs.blobs, theirs.memories, theirs.row)


def test_trials_move_no_ref(tmp_path: Path) -> None:
    made = rank_training(tmp_path, [], until=1, ref=None)
    made.run()
    assert made.lineage.refs() == {}
    rank_training(tmp_path, [], until=2).run()
    assert made.lineage.refs().keys() == {"latest"}


def test_samples_that_were_forgotten_are_kept_out_of_memories(tmp_path: Path) -> None:
    events: list[Event] = []
    made = rank_training(tmp_path, events)
    ids = made.stream[0].train.ids.tolist()
    add_tombstones(made.lineage, ids[::2])
    made.run()
    for planned in made.plan:
        for shard in made.lineage.read(planned.id).memories["replay"].shards:
            assert not set(made.lineage.tensors(shard.sha256)["ids"].tolist()) & set(ids[::2])


def test_checkpoints_that_a_dead_run_left_behind_its_commit_are_removed(tmp_path: Path) -> None:
    made = rank_training(tmp_path, [], until=1)
    made.run()
    put_checkpoint(made.lineage, made.plan[0].id, [1])
    rank_training(tmp_path, [], until=1).run()
    assert list(made.lineage.store.list("digits/runs/")) == []


def _as_rank(folder: Path, capabilities: str) -> list[str]:
    events: list[Event] = []
    rank_training(folder, events, more=capabilities).run()
    return kinds(events)


def test_rank_0_alone_tells_and_writes(tmp_path: Path) -> None:
    rows = [{"inputs": [[row * 9 + column for column in range(8)] for row in range(8)], "label": n} for n in range(5)]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    more = f"capabilities: [{{name: grey, kind: classification, data: '{tmp_path}/items.jsonl'}}]\n"
    with Processes(2) as processes:
        told, silent = processes.run(_as_rank, tmp_path / "two", more)
    assert told.count("commit") == 3 and "step" in told and set(silent) <= {"experience"}
    _as_rank(tmp_path / "one", more)
    one, two = (rank_training(tmp_path / name, []) for name in ("one", "two"))
    for planned in one.plan:
        mine, theirs = one.lineage.read(planned.id), two.lineage.read(planned.id)
        assert mine.row == theirs.row
        assert mine.capabilities == theirs.capabilities is not None
        assert mine.capabilities_before == theirs.capabilities_before
        assert [loss for _, loss, _ in mine.losses] == pytest.approx([loss for _, loss, _ in theirs.losses])
