"""Frozen parameters: they stay as they are to the bit, and nothing is kept of them, whatever the strategy."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import nn

from pipelines.build import make_learner, make_model, make_stream, train_settings
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.freeze import freeze, frozen_parameters, keep_statistics
from strategies.loop.order_of_samples import sample_order
from tests.strategies.cases import REGISTERED, Case, flat_state
from tests.strategies.models import Double, build, mlp

FROZEN = re.compile(r"(^|\.)model\.1\.((base_layer|layer)\.)?(weight|bias)$")
KEPT = re.compile(r"optimizer:|:(importance|anchor|path)\.")

CASES = [case for case in REGISTERED if case.setting == "task-incremental"] + [
    case for case in REGISTERED if case.setting == "domain-incremental" and case.strategies[0][0] == "dann"
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_strategy_changes_them_or_keeps_anything_of_them(case: Case) -> None:
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    freeze(learner.model, frozen_parameters(learner.model, ["model.1.*"]))
    before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
    for experience in experiences:
        learner.learn(experience, case.settings, past=experiences[: experience.index])
    found = {name: p for name, p in learner.model.named_parameters() if FROZEN.search(name)}
    assert len(found) >= 2
    for name, parameter in found.items():
        assert torch.equal(parameter, before[f"model.1.{name.rpartition('.')[2]}"]), name
    about = [name.partition("/")[0] for name in flat_state(learner) if KEPT.search(name)]
    assert not [name for name in about if FROZEN.search(name)]
    trained = {name: p for name, p in learner.model.named_parameters() if name in before and name not in found}
    if case.strategies[0][0] != "slda":
        assert not trained or any(not torch.equal(p, before[name]) for name, p in trained.items())


def test_the_others_learn_as_by_hand() -> None:
    pipeline = load_text(
        "name: t\nstream: {dataset: digits, experiences: 2}\nmodel: {name: mlp, hidden: [6, 6]}\n"
        "train: {steps: 4, batch_size: 8, freeze: ['body.1.*'], optimizer: {name: sgd, lr: 0.1, weight_decay: 0.1}}\n"
    )
    stream, settings = make_stream(pipeline), train_settings(pipeline, 0)
    learner = make_learner(pipeline, stream)
    model = copy.deepcopy(learner.model)
    samples = stream[0].train
    order = sample_order(samples, settings, pipeline.seed, 0)
    optimizer = torch.optim.SGD(list(model.parameters())[2:], lr=0.1, weight_decay=0.1)
    for step in range(4):
        inputs, targets = samples.take(order.batch(step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(learner.prepare(inputs)), targets).backward()
        optimizer.step()
    learner.learn(stream[0], settings)
    for (name, found), expected in zip(learner.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6, msg=name)


def test_statistics_of_frozen_layers_stay() -> None:
    case = Case("t", [("replay", {"capacity": 20})], train={"epochs": None, "steps": 3, "batch_size": 6},
                model="frozen-batch-norm")  # fmt: skip
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    assert not copy.deepcopy(learner.model).train().model[1].training and learner.model.train().model[6].training
    for experience in experiences:
        learner.learn(experience, case.settings, past=experiences[: experience.index])
    norms = learner.model.model[1], learner.model.model[6]
    assert torch.equal(norms[0].running_mean, torch.zeros(4).double())
    assert [int(norm.num_batches_tracked) for norm in norms] == [0, 9]


def test_a_layer_without_parameters_belongs_to_what_is_around_it() -> None:
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)), nn.BatchNorm1d(2))
    keep_statistics(model, frozen_parameters(model, ["0.*"]))
    model.train()
    assert not model[0][1].training and model[1].training and model[0].training


@pytest.mark.parametrize(
    ("patterns", "strategy", "message"),
    [
        ("['bodi.*']", "naive", r"train\.freeze: 'bodi\.\*' matches no parameter.*nearest are .*body\.1"),
        ("['body.*', 'head.*']", "naive", r"all parameters are frozen.*such as 'head\.bias'"),
    ],
)
def test_patterns_that_cannot_be_are_refused(patterns: str, strategy: str, message: str) -> None:
    pipeline = load_text(
        f"name: t\nstream: {{dataset: digits, experiences: 2}}\nmodel: mlp\nstrategy: {strategy}\n"
        f"train: {{freeze: {patterns}}}\n"
    )
    with pytest.raises(PipelineError, match=message):
        make_model(pipeline, make_stream(pipeline))


def test_a_strategy_that_trains_nothing_may_freeze_all_and_lora_what_it_likes() -> None:
    for strategy in ("slda", "{name: lora, rank: 2}"):
        pipeline = load_text(
            f"name: t\nstream: {{dataset: digits, experiences: 2}}\nmodel: {{name: mlp, hidden: [6]}}\n"
            f"strategy: [{strategy}]\ntrain: {{steps: 2, freeze: ['*']}}\n"
        )
        stream = make_stream(pipeline)
        learner = make_learner(pipeline, stream)
        before = {name: p.detach().clone() for name, p in learner.model.named_parameters()}
        learner.learn(stream[0], train_settings(pipeline, 0))
        after = dict(learner.model.named_parameters())
        for name, parameter in before.items():
            now = after.get(name, after.get(name.replace("1.", "1.base_layer.")))
            assert now is not None and torch.equal(now, parameter), name


def test_patterns_hold_for_the_whole_stream() -> None:
    with pytest.raises(PipelineError, match=r"per_experience\.1\.freeze: holds for the whole stream"):
        load_text(
            "name: t\nstream: {dataset: digits}\nmodel: mlp\ntrain: {per_experience: {1: {freeze: ['head.*']}}}\n"
        )


def test_the_case_of_the_laws_is_the_same_freezing() -> None:
    """`frozen` of tests.strategies, which the laws of ranks and resume are tested with, is what patterns give."""
    model = Double(mlp(4))
    freeze(model, frozen_parameters(model, ["model.1.*"]))
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    assert flags == {name: p.requires_grad for name, p in build("frozen", 4).named_parameters()}
