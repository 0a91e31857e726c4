"""What a commit records of its evaluation: by hand, and the same however the work was interrupted or shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.checkpointing.evaluation_record import ANSWERS, flips, packed, quality, unpacked
from orchestrator.checkpointing.snapshot import load_answers
from orchestrator.errors import CorruptBlob
from orchestrator.lineage.chain_metrics import chain_metrics, class_accuracy, confusion_matrix
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.measurements import TestCount
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from strategies.loop.evaluation import Count, Evaluation
from strategies.loop.process_group import Group


def bits(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


def test_flips_by_hand() -> None:
    before = {0: bits(1, 1, 0, 0), 1: bits(1, 1, 1)}
    now = {0: bits(1, 0, 1, 0), 1: bits(0, 0, 1), 2: bits(1)}
    assert flips(before, now, 2) == (1, 2)
    assert flips(before, now, 1) == (1,)
    assert flips({}, now, 0) is None and flips({0: before[0]}, now, 2) is None
    assert flips({0: bits(1, 1, 0)}, now, 1) is None  # samples were forgotten since


def test_a_bit_for_each_sample_and_back() -> None:
    right = {0: torch.rand(17) < 0.5, 3: torch.rand(8) < 0.5}
    row = [TestCount(experience=j, test=f"{j}", correct=int(b.sum()), total=len(b)) for j, b in right.items()]
    tensors = packed(right)
    assert {name: len(t) for name, t in tensors.items()} == {"0": 3, "3": 1}
    back = unpacked(tensors, row)
    assert all(torch.equal(back[j], right[j]) for j in right)
    with pytest.raises(ValueError, match="other test sets"):
        unpacked(tensors, row[:1])
    with pytest.raises(ValueError, match="do not agree"):
        unpacked(packed({0: ~right[0]}), row)
    for other in (torch.cat([tensors["0"], tensors["0"][:1]]), tensors["0"][:-1], tensors["0"].to(torch.int32)):
        with pytest.raises(ValueError, match="other test sets"):
            unpacked({"0": other}, row)


def test_the_record_of_an_evaluation_by_hand() -> None:
    confusion = torch.tensor([[5, 1, 0], [0, 0, 0], [2, 0, 2]])
    classes = torch.tensor([[5, 6], [0, 0], [2, 4]])
    record = quality(Evaluation([Count(7, 10)], {}, classes, confusion, [(10, 7, 8.5)]), (3,))
    assert record.classes == ((0, 5, 6), (2, 2, 4))
    assert record.confusion == ((0, 1, 1), (2, 0, 2))
    assert (record.flips, record.calibration) == ((3,), ((10, 7, 8.5),))
    assert quality(Evaluation([], {}, classes), None).confusion is None


def rank_training(
    folder: Path, on_event: Any = lambda event: None, strategy: str = "{name: naive}", length: int = 3
) -> RankTraining:
    order = [[2 * k, 2 * k + 1] for k in range(length)]
    pipeline = load_text(
        f"name: a\nstream: {{dataset: digits, order: {order}}}\nmodel: {{name: mlp, hidden: [12]}}\n"
        f"strategy: {strategy}\nstorage: {folder}\n"
        "train: {epochs: 4, batch_size: 50, optimizer: {name: adam, lr: 0.01}}\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    return RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=lineage,
        group=Group(),
        device=torch.device("cpu"),
        on_event=on_event,
    )


def trained(made: RankTraining) -> list[Commit]:
    made.run()
    return made.lineage.chain(made.plan[-1].id)


def test_commits_have_it_all_and_a_longer_stream_continues_as_if_it_had_been_so_from_the_start(tmp_path: Path) -> None:
    whole = trained(rank_training(tmp_path / "a"))
    trained(rank_training(tmp_path / "b", length=1))
    trained(rank_training(tmp_path / "b", length=2))
    pieces = trained(rank_training(tmp_path / "b"))
    assert [commit.quality for commit in pieces] == [commit.quality for commit in whole]
    assert [commit.blobs for commit in pieces] == [commit.blobs for commit in whole]
    made = rank_training(tmp_path / "a")
    for index, commit in enumerate(whole):
        right = load_answers(made.lineage, commit)
        counts = {count.experience: count for count in commit.row}
        assert {j: int(b.sum()) for j, b in right.items()} == {j: counts[j].correct for j in range(index + 1)}
        matrix = confusion_matrix(commit)
        assert matrix is not None and commit.quality is not None and commit.quality.calibration is not None
        assert sum(map(sum, matrix)) == sum(counts[j].total for j in range(index + 1))
        assert sum(n for n, _, _ in commit.quality.calibration) == sum(map(sum, matrix))
        assert class_accuracy(commit) == {u: matrix[u][u] / sum(matrix[u]) for u in range(2 * index + 2)}
        assert commit.size is not None and commit.size.parameters == 64 * 12 + 12 + 12 * 10 + 10
        assert commit.size.bytes == 4 * commit.size.parameters and commit.size.memory == 0
    metrics = chain_metrics(whole)
    before, now = (load_answers(made.lineage, commit)[0].tolist() for commit in whole[:2])
    lost = sum(was and not is_ for was, is_ in zip(before, now, strict=True))
    assert whole[1].quality is not None and whole[1].quality.flips == (lost,) and lost > 0
    assert metrics[0]["negative_flips"] is None
    assert metrics[1]["negative_flips"] == pytest.approx(lost / len(now))
    assert metrics[2]["training_seconds"] == whole[2].timings["learn"] + whole[2].timings["consolidate"]


def test_memories_count_and_nearest_means_have_no_confidence(tmp_path: Path) -> None:
    commits = trained(rank_training(tmp_path, strategy="[{name: icarl, capacity: 20}]", length=2))
    assert [chain["expected_calibration_error"] for chain in chain_metrics(commits)] == [None, None]
    # Pixels as bytes or floats, and three whole numbers of eight bytes a sample at least.
    assert all(c.size is not None and c.size.memory >= 20 * (64 + 3 * 8) for c in commits)


def test_an_older_commit_has_none_of_it_and_its_successor_has_no_flips(tmp_path: Path) -> None:
    (first,) = trained(rank_training(tmp_path, length=1))
    old = first.document()
    for added in ("quality", "size", "task_labels", "id", "format", "checksum"):
        del old[added]
    del old["blobs"][ANSWERS]
    commit = Commit.create(**old)
    made = rank_training(tmp_path, length=2)
    made.lineage.store.put(f"a/commits/{commit.id}.json", commit.to_json())
    assert commit.id == first.id and load_answers(made.lineage, commit) == {}
    chain = trained(made)
    metrics = chain_metrics(chain)
    assert metrics[0]["model_parameters"] is None and metrics[0]["expected_calibration_error"] is None
    assert metrics[1]["model_parameters"] == 910 and metrics[1]["negative_flips"] is None
    assert (class_accuracy(chain[0]), confusion_matrix(chain[0])) == ({}, None)


def test_damaged_answers_are_refused(tmp_path: Path) -> None:
    made = rank_training(tmp_path, length=1)
    (commit,) = trained(made)
    count = commit.row[0].model_copy(update={"correct": commit.row[0].correct - 1})
    with pytest.raises(CorruptBlob, match="do not agree"):
        load_answers(made.lineage, commit.model_copy(update={"row": (count,)}))
