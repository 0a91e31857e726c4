"""Before training, in memory: what a commit will hold goes through the format of commits and comes back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from orchestrator.checkpointing.check_storable import check_storable
from pipelines.build import make_learner
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.streams import build_stream
from strategies.registry import BUILT_IN
from tests.orchestrator.train_stream import train

FILE = """
name: x
stream: {dataset: digits, experiences: 3, setting: SETTING}
model: MODEL
strategy: [{name: STRATEGY}]
train: {batch_size: 64, epochs: 1}
"""


def check(model: str, strategy: str = "naive", setting: str = "task-incremental") -> None:
    text = FILE.replace("MODEL", model).replace("STRATEGY", strategy).replace("SETTING", setting)
    pipeline = load_text(text)
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = make_learner(pipeline, stream)
    before = {name: tensor.clone() for name, tensor in learner.model.state_dict().items() if hasattr(tensor, "clone")}
    check_storable(pipeline, stream, learner)
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.model.state_dict().items())


def own(kind: str) -> str:
    return f"{{name: 'tests.pipelines.models.own_models:build', kind: {kind}}}"


@pytest.mark.parametrize("strategy", BUILT_IN)
def test_every_strategy_passes_with_a_usual_model(strategy: str) -> None:
    setting = "domain-incremental" if strategy == "dann" else "task-incremental"
    check("{name: mlp, hidden: [8]}", strategy, setting)
    check(own("batchnorm"), strategy, setting)


@pytest.mark.parametrize("kind", ["weight-norm", "spectral-norm", "tuple", "dict", "double", "bfloat16", "instance"])
@pytest.mark.parametrize("strategy", ["naive", "ewc"])
def test_unusual_models_pass_where_nothing_changes_their_structure(kind: str, strategy: str) -> None:
    check(own(kind), strategy)


@pytest.mark.parametrize(
    ("kind", "strategy", "said"),
    [
        ("weight-norm", "packnet", "packnet with this model: what a commit would hold cannot be loaded again: "),
        ("spectral-norm", "packnet", "packnet with this model: what a commit would hold cannot be loaded again: "),
        ("extra-state", "naive", r"layer '2' \(Counted\) keeps a dict in its state \(get_extra_state\)"),
        ("hidden-state", "naive", "its outputs differ after it was loaded, .*register_buffer"),
        ("generator", "naive", "'1.weight' differs when the model is made twice with the same seed"),
    ],
)
def test_what_would_make_a_commit_that_nothing_can_load_is_refused_by_name(kind: str, strategy: str, said: str) -> None:
    with pytest.raises(PipelineError, match=said):
        check(own(kind), strategy)


def test_a_run_refuses_it_before_it_trains(tmp_path: Path) -> None:
    text = (
        FILE.replace("MODEL", own("weight-norm")).replace("STRATEGY", "packnet").replace("SETTING", "task-incremental")
    )
    pipeline = load_text(text, overrides=[f"storage={tmp_path}"])
    with pytest.raises(PipelineError, match="packnet with this model"):
        train(pipeline)
    assert not list(tmp_path.rglob("*.json"))
