"""The model of a commit: it answers as the learner does, also when strategies have changed its structure."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.export import Dim, export, load, save

from orchestrator.checkpointing.load_model import example_and_model, load_model
from orchestrator.checkpointing.restore import fitting
from orchestrator.checkpointing.snapshot import load_commit
from orchestrator.errors import CorruptBlob
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.build import configure, make_learner, train_settings
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.networks.frozen_parts import join_model
from tests.orchestrator.lineage.chains import make_commit
from tests.orchestrator.train_stream import train

State = dict[str, dict[str, Tensor]]

STRATEGIES = [
    "[{name: naive}]",
    "[{name: progressive}]",
    "[{name: progressive, infer_task: true}]",
    "[{name: packnet}]",
    "[{name: packnet, infer_task: true}]",
    "[{name: expand}, {name: replay, capacity: 20}]",
]


def learned(folder: Path, strategy: str) -> tuple[Pipeline, RankTraining]:
    pipeline = load_text(
        "name: c\nstream: {dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3], [4, 5]]}\n"
        f"model: {{name: mlp, hidden: [12]}}\nstrategy: {strategy}\nstorage: {folder}\n"
        "train: {steps: 6, batch_size: 20}\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    training = RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=Lineage(open_store(pipeline.storage), pipeline.name),
        group=Group(),
        device=torch.device("cpu"),
        on_event=lambda event: None,
    )
    training.run()
    return pipeline, training


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_answers_as_the_learner_does(strategy: str, tmp_path: Path) -> None:
    pipeline, training = learned(tmp_path, strategy)
    commits = [training.lineage.read(planned.id) for planned in training.plan]
    for index, commit in enumerate(commits):
        learner = make_learner(pipeline, training.stream)
        configure(learner, pipeline, index)
        load_commit(learner, training.lineage, commit, optimizer="adam")
        model, example = example_and_model(pipeline, training.stream, training.lineage, commit)
        with learner.evaluating(), torch.no_grad():
            expected = learner.scores(example, training.stream[0])
            assert torch.equal(model(example), expected)
            assert torch.equal(load_model(pipeline, commit.id)(example), expected)


@pytest.mark.parametrize("strategy", STRATEGIES[2:])
def test_it_can_be_exported(strategy: str, tmp_path: Path) -> None:
    pipeline, training = learned(tmp_path, strategy)
    model = load_model(pipeline)
    inputs = torch.rand(9, *training.stream.input_shape)
    file = io.BytesIO()
    save(export(model, (inputs[:4],), dynamic_shapes=({0: Dim.AUTO},)), file)
    file.seek(0)
    torch.testing.assert_close(load(file).module()(inputs), model(inputs))


def test_a_commit_alone_gives_the_model(tmp_path: Path) -> None:
    """The data may be gone, or be large: how large the model is stands in the commit."""
    text = (
        "name: c\nstream: {dataset: {name: npz, path: DATA}, order: [[0, 1], [2, 3]]}\n"
        f"model: {{name: mlp, hidden: [12]}}\nstorage: {tmp_path / 'store'}\ntrain: {{steps: 2, batch_size: 20}}\n"
    )
    data = tmp_path / "data.npz"
    np.savez(data, x=np.random.default_rng(0).random((60, 3, 2), np.float32), y=np.arange(60) % 4)
    pipeline = load_text(text.replace("DATA", str(data)), "c.yaml")
    id_ = train(pipeline)[-1]
    data.unlink()
    with pytest.raises(PipelineError):
        build_stream(pipeline.stream, pipeline.seed)
    assert load_model(pipeline, id_)(torch.rand(5, 3, 2)).shape == (5, 4)


def test_a_regression_answers_in_the_unit_of_its_targets(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for month in range(2):
        inputs = random.random((60, 3), np.float32)
        targets = np.stack([5000 + 100 * inputs[:, 0], inputs[:, 1] / 1000 + month / 1e4], 1)
        np.savez(tmp_path / f"{month}.npz", x=inputs, y=targets)
    pipeline = load_text(
        f"name: c\nobjective: regression\nstream: {{dataset: {{name: npz, path: {tmp_path}}}, "
        "setting: domain-incremental}\n"
        f"model: {{name: mlp, hidden: [12]}}\nstorage: {tmp_path / 'store'}\n"
        "train: {epochs: 60, batch_size: 20, optimizer: {name: adam, lr: 0.01}}\n"
        "strategy: {name: replay, capacity: 40}\n"
    )
    train(pipeline)
    model, inputs = load_model(pipeline), torch.from_numpy(random.random((50, 3), np.float32))
    with torch.no_grad():
        found = model(inputs)
    assert found.dtype == torch.float32
    errors = found - torch.stack([5000 + 100 * inputs[:, 0], inputs[:, 1] / 1000], 1)
    assert float(errors[:, 0].abs().mean()) < 10 and float(errors[:, 1].abs().mean()) < 2e-4
    file = io.BytesIO()
    save(export(model, (inputs[:4],), dynamic_shapes=({0: Dim.AUTO},)), file)
    file.seek(0)
    torch.testing.assert_close(load(file).module()(inputs), found)


def test_a_commit_that_does_not_say_how_large_its_model_is(tmp_path: Path) -> None:
    pipeline, training = learned(tmp_path, "[{name: naive}]")
    commit = training.lineage.read(training.plan[-1].id)
    for change in ({"input_shape": None}, {"input_shape": ["8"]}, {"outputs": -1}):
        other = make_commit(0, None, {}, spec={**commit.spec, **change})
        training.lineage.write(other)
        with pytest.raises(CorruptBlob, match="how large the model is"):
            load_model(pipeline, other.id)


@pytest.mark.parametrize(("strategy", "part"), [("[{name: progressive}]", "column"), ("[{name: expand}]", "extractor")])
def test_what_does_not_change_again_is_stored_once(strategy: str, part: str, tmp_path: Path) -> None:
    _, training = learned(tmp_path, strategy)
    commits = [training.lineage.read(planned.id) for planned in training.plan]
    for k in range(3):
        assert len({commit.blobs[f"model.{part}.{k}"].sha256 for commit in commits[k:]}) == 1
    assert commits[2].blobs["model"].bytes < commits[2].blobs[f"model.{part}.0"].bytes


def grown(strategy: str) -> tuple[Callable[[], Learner], State]:
    """A maker of new learners, and the state of one that has learned two experiences."""
    pipeline = load_text(
        "name: c\nstream: {dataset: digits, setting: task-incremental, order: [[0, 1], [2, 3]]}\n"
        f"model: {{name: mlp, hidden: [12]}}\nstrategy: {strategy}\ntrain: {{steps: 2}}\n"
    )
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = make_learner(pipeline, stream)
    for index in range(2):
        for _ in learner.steps(stream[index], train_settings(pipeline, index), past=[stream[j] for j in range(index)]):
            pass
        if index == 0:
            learner.consolidate()
    return lambda: make_learner(pipeline, stream), learner.state_dict()


HOSTILE: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "a part left out": lambda s: [
        s.pop(n) for n in list(s) if n.split(".")[:2] in (["columns", "0"], ["extractors", "0"])
    ],
    "a far number": lambda s: s.update({"heads.4000000000.x": torch.ones(1), "heads.99999.x": torch.ones(1)}),
    "a head of another shape": lambda s: s.update(
        {n: torch.ones(3, 5) for n in s if n.startswith("heads.1.") and n.endswith("weight")}
    ),
    "a large unit": lambda s: s.update({"heads.1.units": torch.tensor([2, 2**40])}),
    "other owners": lambda s: s.update({"owners._extra_state": torch.zeros(1, 3, dtype=torch.uint8)}),
    "an empty connection": lambda s: s.update({"heads.1.layer.lateral.project.weight": torch.ones(0)}),
    "a wide classifier": lambda s: s.update({"auxiliary.weight": torch.ones(10**6, 0)}),
    "no flag": lambda s: s.update({"growing": torch.ones(2)}),
    "nothing": lambda s: s.clear(),
}


@pytest.mark.parametrize("strategy", ["[{name: progressive}]", "[{name: packnet}]", "[{name: expand}]"])
def test_a_state_that_does_not_fit_is_refused(strategy: str) -> None:
    make, good = grown(strategy)
    make().load_state_dict(good)
    model = join_model(good)
    rest = {group: tensors for group, tensors in good.items() if not group.startswith("model")}
    for what, change in HOSTILE.items():
        changed = dict(model)
        change(changed)
        if changed.keys() == model.keys() and all(changed[name] is model[name] for name in model):
            continue  # this strategy has no such tensor
        with pytest.raises(CorruptBlob, match="does not fit"), fitting(f"commit with {what}"):
            make().load_state_dict({**rest, "model": changed})
