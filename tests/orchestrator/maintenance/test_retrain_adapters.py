"""`forget --retrain`: the chain of the data without the samples, with the other adapters as they were.

Covers: `orchestrator/checkpointing/reused_adapters.py`
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.checkpointing import reused_adapters
from orchestrator.cli.main import invoke
from orchestrator.errors import RunFailed
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.forgotten_ids import read_tombstones
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.maintenance.check_store import fsck
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training import rank
from orchestrator.training.in_process import train_in_process
from pipelines.build import make_stream
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.cli.commands import documented

STRATEGIES = {
    "lora": "{name: lora, rank: 2, per: experience}",
    "adapter": "{name: adapter, size: 2, per: experience}",
    "experts": "{name: experts, rank: 2}",
}
GONE = 70
"""An id in experience 1 of 3: ids 60 to 119 have its classes."""


def write(folder: Path, strategy: str, *, gone: bool, store: str = "store") -> tuple[Path, Pipeline]:
    """The data, with or without the sample, and a pipeline file."""
    random = np.random.default_rng(0)
    ids = np.arange(180)
    targets = ids // 60 * 2 + ids % 2
    inputs = (random.normal(size=(180, 6)) + targets[:, None]).astype("float32")
    keep = ids != GONE if gone else ids >= 0
    data = folder / "data.npz"
    np.savez(data, x=inputs[keep], y=targets[keep], id=ids[keep])
    setting = "class-incremental" if "experts" in strategy else "task-incremental"
    text = (
        f"name: people\nstorage: {json.dumps(str(folder / store))}\nmodel: {{name: mlp, hidden: [12, 6]}}\n"
        f"strategy: {strategy}\nstream:\n  dataset: {{name: npz, path: {json.dumps(str(data))}, id: id}}\n"
        f"  setting: {setting}\n  order: [[0, 1], [2, 3], [4, 5]]\n"
        "train: {epochs: 1, batch_size: 20, optimizer: {name: adam, lr: 0.01}}\n"
    )
    (folder / "p.yaml").write_text(text)
    (folder / "ids.txt").write_text(f"{GONE}\n")
    return folder / "p.yaml", load_text(text)


def stored(pipeline: Pipeline) -> Lineage:
    return Lineage(open_store(pipeline.storage), pipeline.name)


def learn(pipeline: Pipeline, *, reuse_adapters: bool = False) -> list[Commit]:
    """The commits of the data as they are, made in this process."""
    stream, lineage = make_stream(pipeline), stored(pipeline)
    plan = make_plan(pipeline, stream)
    train_in_process(pipeline, stream, plan, lineage, lambda event: None, reuse_adapters=reuse_adapters)
    return [lineage.read(planned.id) for planned in plan]


def learned(commit: Commit) -> dict[str, Any]:
    """All of a commit that does not say when and how it was made."""
    row = [(count.correct, count.total) for count in commit.row]
    return {"id": commit.id, "blobs": commit.blobs, "row": row, "quality": commit.quality, "steps": commit.steps}


@pytest.mark.parametrize("name", STRATEGIES)
def test_only_what_saw_the_sample_is_trained_and_all_is_as_without_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pipeline = write(tmp_path, STRATEGIES[name], gone=False)
    before = learn(pipeline)
    _, alone = write(tmp_path, STRATEGIES[name], gone=True, store="alone")
    wanted = learn(alone)
    trained: list[int] = []
    original = rank.RankTraining._experience

    def counted(self: Any, learner: Any, index: int, *rest: Any) -> Any:
        trained.append(index)
        return original(self, learner, index, *rest)

    def killed(learner: Any, lineage: Any, commit: Any, place: int, **options: Any) -> bool:
        raise MemoryError("stands for a killed process")

    monkeypatch.setattr(rank.RankTraining, "_experience", counted)
    with monkeypatch.context() as patch:  # ends after experience 1
        patch.setattr(rank, "reuse", killed)
        with pytest.raises(RunFailed, match="stands for a killed"):
            learn(pipeline, reuse_adapters=True)
    made = learn(pipeline, reuse_adapters=True)
    assert trained == [1]
    assert [learned(one) for one in made] == [learned(one) for one in wanted]
    for place in (0, 2):
        assert made[2].blobs[f"model.adapter.{place}"] == before[2].blobs[f"model.adapter.{place}"]
    assert made[2].blobs["model.adapter.1"] != before[2].blobs["model.adapter.1"]
    assert fsck(stored(pipeline)).damage == []


def test_an_adapter_over_another_frozen_model_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pipeline = write(tmp_path, STRATEGIES["lora"], gone=False)
    learn(pipeline)
    _, gone = write(tmp_path, STRATEGIES["lora"], gone=True)
    monkeypatch.setattr(reused_adapters, "_sha256", lambda tensors: "0" * 64)
    made = learn(gone, reuse_adapters=True)
    assert ["learn" in one.timings for one in made] == [True] * 3


def test_the_command_says_what_it_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, pipeline = write(tmp_path, STRATEGIES["lora"], gone=False)
    learn(pipeline)
    command = ["forget", str(file), "--ids", str(tmp_path / "ids.txt"), "--retrain"]
    assert invoke(command) == 2
    assert "still hold 1 of these samples (in experience 1)" in capsys.readouterr().err
    assert not read_tombstones(stored(pipeline))
    write(tmp_path, STRATEGIES["lora"], gone=True)
    found = documented(capsys, 0, *command)
    assert found["retrained"]["trained"] == [1] and found["retrained"]["kept"] == [0, 2]
    assert stored(pipeline).stands("latest", found["retrained"]["lineage"][-1])
    assert read_tombstones(stored(pipeline)).among([GONE, 71]) == [GONE]


def test_what_is_not_apart_is_refused_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for strategy in ("{name: lora}", "[{name: lora, per: experience}, {name: replay}]", "{name: o-lora}"):
        file, pipeline = write(tmp_path, strategy, gone=True)
        assert invoke(["forget", str(file), "--ids", str(tmp_path / "ids.txt"), "--retrain"]) == 2
        assert "keeps no separate part of the model for each experience" in capsys.readouterr().err
        assert not read_tombstones(stored(pipeline))
