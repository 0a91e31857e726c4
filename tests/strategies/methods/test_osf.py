"""Orthogonal subspace fine-tuning: a commit is a plain model, and training is not lost between experiences."""

from __future__ import annotations

import torch

from strategies.methods.osf import OSF
from strategies.projection.subspace_linear import subspace_layers
from tests.strategies.cases import Case
from tests.strategies.models import build


def test_a_commit_holds_a_plain_model_with_all_that_was_learned() -> None:
    case = Case("osf", [("osf", {"preserve": 0.5})])
    steps, outputs = case.stream()
    learner = case.learner(outputs)
    assert isinstance(learner.strategies[0], OSF)
    answers = []
    for step in steps[:2]:
        for _ in learner.steps(step, case.settings):
            assert len(list(subspace_layers(learner.model))) == 1
        with learner.evaluating(), torch.no_grad():
            before = learner.output(learner.prepare(step.test.inputs))
            learner.consolidate()
            after = learner.output(learner.prepare(step.test.inputs))
        torch.testing.assert_close(after, before)
        answers.append(learner.model.get_parameter("model.1.weight").detach().clone())
    untrained = build("mlp", outputs)
    assert learner.model.state_dict().keys() == untrained.state_dict().keys()
    assert {name for name, p in learner.model.named_parameters() if p.requires_grad} == {*untrained.state_dict()}
    start = untrained.get_parameter("model.1.weight")
    assert not torch.equal(answers[0], start) and not torch.equal(answers[1], answers[0])
    assert "model.base" in learner.state_dict()
