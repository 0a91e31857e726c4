"""Between a learner's state and a commit's blobs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.checkpointing.snapshot import copied_state, load_answers, load_commit, take_snapshot, write_snapshot
from orchestrator.errors import CorruptBlob, StorageError
from orchestrator.lineage.forgotten_ids import add_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import PlannedCommit, make_plan
from orchestrator.storage.folder_store import FolderStore
from pipelines.build import make_learner, train_settings
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream, build_stream
from strategies.loop.learner import Learner

TEXT = """
name: p
stream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}
model: {name: mlp, hidden: [8]}
strategy: [{name: ewc, lambda: 10, samples: 50}, {name: replay, capacity: 30}]
train: {epochs: 1, batch_size: 32, optimizer: {name: adam}}
"""


@pytest.fixture
def pipeline() -> Pipeline:
    return load_text(TEXT)


@pytest.fixture
def stream(pipeline: Pipeline) -> Stream:
    return build_stream(pipeline.stream, pipeline.seed)


@pytest.fixture
def plan(pipeline: Pipeline, stream: Stream) -> list[PlannedCommit]:
    return list(make_plan(pipeline, stream))


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return Lineage(FolderStore(tmp_path), "p")


def learned(pipeline: Pipeline, stream: Stream, until: int = 1) -> Learner:
    learner = make_learner(pipeline, stream)
    for index in range(until):
        learner.learn(stream[index], train_settings(pipeline, index), past=[stream[i] for i in range(index)])
    return learner


def same(one: Learner, two: Learner) -> bool:
    mine, theirs = one.state_dict(), two.state_dict()
    return mine.keys() == theirs.keys() and all(
        mine[group].keys() == theirs[group].keys()
        and all(torch.equal(mine[group][name], theirs[group][name]) for name in mine[group])
        for group in mine
    )


def test_a_commit_brings_another_learner_to_the_same_state(
    pipeline: Pipeline, stream: Stream, plan: list[PlannedCommit], lineage: Lineage
) -> None:
    learner = learned(pipeline, stream)
    commit = write_snapshot(take_snapshot(learner, plan[0], stream[0], 77), lineage)
    assert (commit.id, commit.experience.samples, commit.experience.classes) == (plan[0].id, 77, (0, 1))
    assert commit.size is not None and commit.size.memory == learner.memories()["replay"].bytes
    assert commit.size.parameters == sum(p.numel() for p in learner.model.parameters())
    assert {"python", "torch"} <= commit.versions.keys()
    other = make_learner(pipeline, stream)
    assert not same(other, learner)
    load_commit(other, lineage, commit, optimizer="adam")
    assert same(other, learner)
    held = [one.memories()["replay"].tensors["ids"].tolist() for one in (learner, other)]
    assert held[0] == held[1] != []


def test_the_learner_may_continue_while_its_copy_is_written(
    pipeline: Pipeline, stream: Stream, plan: list[PlannedCommit], lineage: Lineage
) -> None:
    learner = learned(pipeline, stream)
    before = {name: tensor.clone() for name, tensor in copied_state(learner)["model"].items()}
    snapshot = take_snapshot(learner, plan[0], stream[0], 1)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.add_(1.0)
    commit = write_snapshot(snapshot, lineage)
    stored = lineage.tensors(commit.blobs["model"].sha256)
    assert all(torch.equal(stored[name], tensor) for name, tensor in before.items())


def test_a_shard_of_an_older_experience_is_stored_once(
    pipeline: Pipeline, stream: Stream, plan: list[PlannedCommit], lineage: Lineage
) -> None:
    learner = learned(pipeline, stream)
    first = write_snapshot(take_snapshot(learner, plan[0], stream[0], 1), lineage)
    learner.learn(stream[1], train_settings(pipeline, 1), past=[stream[0]])
    second = write_snapshot(take_snapshot(learner, plan[1], stream[1], 1), lineage)
    (old,) = first.memories["replay"].shards
    kept, fresh = second.memories["replay"].shards
    assert (kept.experience, fresh.experience, kept.sha256) == (0, 1, old.sha256)
    assert kept.lengths["all"] < old.lengths["all"] == 30


def test_what_is_to_be_forgotten_does_not_come_back_from_a_shard(
    pipeline: Pipeline, stream: Stream, plan: list[PlannedCommit], lineage: Lineage
) -> None:
    learner = learned(pipeline, stream)
    commit = write_snapshot(take_snapshot(learner, plan[0], stream[0], 1), lineage)
    ids = learner.memories()["replay"].tensors["ids"].tolist()
    add_tombstones(lineage, ids[:3])
    other = make_learner(pipeline, stream)
    load_commit(other, lineage, commit, optimizer="adam")
    assert sorted(other.memories()["replay"].tensors["ids"].tolist()) == sorted(ids[3:])


def test_a_commit_of_another_model_or_without_its_state_is_refused(
    pipeline: Pipeline, stream: Stream, plan: list[PlannedCommit], lineage: Lineage
) -> None:
    commit = write_snapshot(take_snapshot(learned(pipeline, stream), plan[0], stream[0], 1), lineage)
    wider = make_learner(load_text(TEXT.replace("[8]", "[9]")), stream)
    with pytest.raises(CorruptBlob, match=f"commit {commit.id[:12]}"):
        load_commit(wider, lineage, commit, optimizer="adam")
    thinned = commit.revised(blobs={}, memories={}, thinned=commit.created)
    with pytest.raises(StorageError, match="were removed by"):
        load_commit(make_learner(pipeline, stream), lineage, thinned, optimizer="adam")
    # A commit of before answers were kept.
    assert load_answers(lineage, commit) == {}
