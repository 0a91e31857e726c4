"""One pass over test sets against plain loops, and the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.data import Experience
from strategies.api.strategy import Strategy
from strategies.loop import evaluation
from strategies.loop.evaluation import Evaluation
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, stream

SEED = 3


def make(strategies: Sequence[Strategy] = (), model: str = "mlp-float32", outputs: int = 6) -> Learner:
    return Learner(build(model, outputs), strategies, outputs=outputs, seed=SEED, group=Group.current())


def trained(setting: str, model: str = "batch-norm") -> tuple[Learner, list[Any]]:
    experiences, outputs = stream(setting)
    learner = make(model=model, outputs=outputs)
    learner.learn(experiences[0], TrainSettings(epochs=4, batch_size=10, optimizer_options={"lr": 0.01}))
    return learner, list(experiences)


class Constant(Strategy):
    """Answers with the first class of the experience, whatever the input."""

    def predict(self, learner: Learner, inputs: Tensor, experience: Experience) -> Tensor:
        assert inputs.is_floating_point()
        return F.one_hot(torch.full((len(inputs),), experience.classes[0]), 6).float()


class Confident(Constant):
    predicts_logits = True


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_counts_what_a_plain_loop_counts(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 7)
    learner, experiences = trained(setting)
    learner.model.train()
    found = learner.assess(experiences, seen=2)
    assert learner.model.training
    model, units = learner.model.eval(), learner.outputs
    confusion = torch.zeros(units, units, dtype=torch.int64)
    bins = [[0, 0, 0.0] for _ in range(15)]
    for count, e in zip(found.counts, experiences, strict=True):
        correct = 0
        for place, (x, y) in enumerate(zip(e.test.inputs, e.test.targets.tolist(), strict=True)):
            scores = model(x[None].float() / 255)[0].tolist()
            allowed = list(range(units) if e.outputs is None else e.outputs)
            answer = max(allowed, key=lambda unit: scores[unit])
            correct += answer == y
            if e.index < 2:
                confidence = torch.tensor([scores[unit] for unit in allowed]).softmax(0).max().item()
                chosen = next(k for k in range(15) if confidence <= (k + 1) / 15)
                bins[chosen] = [bins[chosen][0] + 1, bins[chosen][1] + (answer == y), bins[chosen][2] + confidence]
                confusion[y, answer] += 1
                assert bool(found.right[e.index][place]) == (answer == y)
        assert (count.correct, count.total) == (correct, len(e.test))
    assert found.counts[0].correct > 0 and set(found.right) == {0, 1}
    assert found.confusion is not None and torch.equal(found.confusion, confusion)
    assert found.classes is not None
    assert torch.equal(found.classes, torch.stack([confusion.diagonal(), confusion.sum(1)], 1))
    assert found.calibration is not None
    assert [entry[:2] for entry in found.calibration] == [tuple(entry[:2]) for entry in bins]
    assert [entry[2] for entry in found.calibration] == pytest.approx([entry[2] for entry in bins], abs=1e-4)
    assert learner.evaluate(experiences) == found.counts


def test_nothing_is_detailed_of_what_was_not_learned() -> None:
    learner, experiences = trained("class-incremental")
    found = learner.assess(experiences)
    assert (found.right, found.classes, found.confusion, found.calibration) == ({}, None, None, None)


def test_a_strategy_may_classify_by_itself() -> None:
    experiences, outputs = stream("class-incremental")
    found = make([Constant()], outputs=outputs).assess(experiences, seen=3)
    assert [count.correct for count in found.counts] == [20, 20, 20]
    assert found.classes is not None and found.classes.tolist() == [[20, 20], [0, 20]] * 3
    # Its scores are no logits unless it says so.
    assert found.calibration is None
    found = make([Confident()], outputs=outputs).assess(experiences, seen=3)
    confidence = float(torch.tensor(1.0).exp() / (torch.tensor(1.0).exp() + 5))
    assert found.calibration is not None
    assert [(k, n, right) for k, (n, right, _) in enumerate(found.calibration) if n] == [(5, 120, 60)]
    assert found.calibration[5][2] == pytest.approx(120 * confidence)


def test_a_large_head_has_no_confusion_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, experiences = trained("class-incremental")
    whole = learner.assess(experiences, seen=3)
    monkeypatch.setattr(evaluation, "MOST_UNITS", 5)
    found = learner.assess(experiences, seen=3)
    assert found.confusion is None
    assert found.classes is not None and whole.classes is not None and torch.equal(found.classes, whole.classes)


def test_outputs_that_are_not_finite_have_no_confidence() -> None:
    class Broken(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.full((len(inputs), 6), torch.nan)

    experiences, _ = stream("class-incremental")
    found = Learner(Broken(), [], outputs=6).assess(experiences, seen=3)
    assert found.calibration is not None and found.calibration[0] == (120, 20, 0.0)


def evaluated_here() -> tuple[Any, ...]:
    experiences, outputs = stream("task-incremental", test=3)
    return plain(make(model="mlp", outputs=outputs).assess(experiences, seen=2))


def plain(found: Evaluation) -> tuple[Any, ...]:
    assert found.classes is not None and found.confusion is not None
    right = {index: bits.tolist() for index, bits in found.right.items()}
    return found.counts, right, found.classes.tolist(), found.confusion.tolist(), found.calibration


def test_test_sets_smaller_than_the_ranks_are_counted_once(processes: Callable[[int], Processes]) -> None:
    ranks = processes(4).run(evaluated_here)
    assert ranks == [evaluated_here()] * 4
    assert [count.total for count in ranks[0][0]] == [3, 3, 3]
