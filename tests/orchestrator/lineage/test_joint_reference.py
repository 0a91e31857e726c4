"""Joint training as the reference: found by computed ids, in any pipeline of the store, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.errors import StorageError
from orchestrator.lineage.chain_metrics import chain_metrics
from orchestrator.lineage.joint_reference import Reference, reference_ids
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.folder_store import FolderStore
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text, with_settings
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group


def rank_training(folder: Path, strategy: str, name: str = "own", seed: int = 0, length: int = 2) -> RankTraining:
    order = [[2 * k, 2 * k + 1] for k in range(length)]
    pipeline = load_text(
        f"name: {name}\nseed: {seed}\nstream: {{dataset: digits, order: {order}}}\nmodel: {{name: mlp, hidden: [8]}}\n"
        f"strategy: {strategy}\nstorage: {folder}\n"
        "train: {steps: 10, batch_size: 50, optimizer: {name: adam, lr: 0.01}}\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    lineage = Lineage(FolderStore(folder), name)
    device = torch.device("cpu")
    return RankTraining(pipeline, stream, make_plan(pipeline, stream), lineage, Group(), device, lambda event: None)


def test_the_ids_are_those_of_the_plan_with_the_strategy_replaced(tmp_path: Path) -> None:
    own = rank_training(tmp_path, "[{name: ewc, lambda: 10}, {name: replay, capacity: 20}]")
    own.pipeline = with_settings(own.pipeline, {"train.per_experience": {1: {"steps": 12}}})
    own.plan = make_plan(own.pipeline, own.stream)
    own.run()
    joint = with_settings(own.pipeline, {"strategy": [{"name": "cumulative"}]})
    chain = own.lineage.chain(own.plan[-1].id)
    assert reference_ids(chain) == [planned.id for planned in make_plan(joint, own.stream)]


@pytest.mark.parametrize("name", ["own", "joint"])
def test_intransigence_is_known_when_joint_training_is_stored(name: str, tmp_path: Path) -> None:
    own = rank_training(tmp_path, "{name: naive}")
    own.run()
    chain = own.lineage.chain(own.plan[-1].id)
    find = Reference(own.lineage)
    assert find(chain) == [None, None]
    # Another seed's joint training is no reference.
    rank_training(tmp_path, "{name: cumulative}", name, seed=1).run()
    assert find(chain) == [None, None]
    rank_training(tmp_path, "{name: cumulative}", name, length=1).run()
    first, second = find(chain)
    assert first is not None and second is None
    joint = rank_training(tmp_path, "{name: cumulative}", name)
    joint.run()
    other = joint.lineage.chain(joint.plan[-1].id)
    a = [commit.row[k].accuracy for k, commit in enumerate(other)]
    assert find(chain) == a
    own_row = [commit.row[k].accuracy for k, commit in enumerate(chain)]
    gaps = [x - y for x, y in zip(a, own_row, strict=True) if x is not None and y is not None]
    metrics = chain_metrics(chain, reference=find(chain))
    assert metrics[1]["intransigence"] == pytest.approx(sum(gaps) / 2)
    # Joint training is its own measure.
    assert chain_metrics(other, reference=Reference(joint.lineage)(other))[1]["intransigence"] == 0.0


def test_a_store_that_cannot_be_read_has_no_reference(tmp_path: Path) -> None:
    class Away(FolderStore):
        def exists(self, key: str) -> bool:
            raise StorageError("away")

    own = rank_training(tmp_path, "{name: naive}", length=1)
    own.run()
    chain = own.lineage.chain(own.plan[-1].id)
    assert Reference(Lineage(Away(tmp_path), "own"))(chain) == [None]
