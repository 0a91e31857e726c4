"""Scores of a test set from what is gathered for each sample, the same on any number of ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from strategies.loop import evaluation
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.metrics import Score, all_scores, find_score
from strategies.objectives.objective import Objective
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Rows, Step, stream


def first_rank(values: Any, truth: Any) -> float:
    """Depends on the order of the samples and on every value."""
    return float((values[:, 0] * (1 + truth.reshape(len(truth), -1)[:, 0]) * range(1, len(values) + 1)).sum())


ORDERED = Score("ordered", function=first_rank)


class Numbers(Objective):
    """Predicts numbers, one or several for each sample, in the unit of the target."""

    name = "regression"
    targets = "numbers"

    def tally(self, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return output, targets


class Rounded(Numbers):
    def right(self, values: Tensor, truth: Tensor) -> Tensor:
        return (values.round() == truth).all(1)


class Sums(nn.Module):
    """Two numbers of each image, computed in whole numbers: batches do not change them."""

    def forward(self, inputs: Tensor) -> Tensor:
        pixels = (inputs * 255).round().flatten(1)
        return torch.stack([pixels.sum(1), pixels[:, 0]], 1) / 16


class Coarse(Sums):
    """Logits of three classes that are equal for many images."""

    def forward(self, inputs: Tensor) -> Tensor:
        found = super().forward(inputs)
        return torch.cat([found, found.sum(1, keepdim=True)], 1).mul(16).remainder(3)


def numbers(n: int = 7) -> list[Step]:
    steps, _ = stream("domain-incremental", test=n)
    return [
        Step(s.index, s.train, Rows(s.test.inputs, torch.rand(n, 2, generator=torch.Generator().manual_seed(s.index)),
             s.test.ids), s.classes) for s in steps
    ]  # fmt: skip


def scored(objective: type[Objective] = Numbers) -> Any:
    scores = [one for name in ("mae", "r2") if (one := find_score(name)) is not None]
    learner = Learner(Sums(), [], outputs=2, group=Group.current(), objective=objective(), recorded=[*scores, ORDERED])
    return learner.assess(numbers(), seen=2)


def plain() -> tuple[Any, Any]:
    found = scored()
    return found.counts, found.scores


def classified() -> tuple[Any, Any]:
    """Every score of classes, with ties, on test sets of seven samples."""
    names = [score.name for score in all_scores("classification")]
    names += ["recall@precision=0.9", "precision@recall=0.5", "recall@class=0", "f1@threshold=0.3"]
    recorded = [score for name in names if (score := find_score(name)) is not None]
    steps, _ = stream("domain-incremental", test=7)
    learner = Learner(Coarse(), [], outputs=3, group=Group.current(), recorded=recorded)
    found = learner.assess(list(steps), seen=2)
    return found.counts, found.scores


def test_ranks_do_not_change_scores(processes: Callable[[int], Processes], monkeypatch: pytest.MonkeyPatch) -> None:
    alone, classes = plain(), classified()
    assert len(classes[1]) > 10 and classes[1].keys() >= classes[0][0].scores.keys()
    for size in (2, 3):
        group = processes(size)
        assert group.run(plain) == [alone] * size and group.run(classified) == [classes] * size
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 2)
    assert plain() == alone and classified() == classes


def test_they_are_those_of_the_whole_test_set_and_of_all_together() -> None:
    counts, joint = plain()
    steps = numbers()
    values = [Sums()(step.test.inputs.float() / 255).double() for step in steps]
    truth = [step.test.targets.double() for step in steps]
    for count, v, t in zip(counts, values, truth, strict=True):
        assert (count.correct, count.total) == (None, 7)
        assert count.scores["mae"] == pytest.approx(float((v - t).abs().mean()))
        assert count.scores["ordered"] == pytest.approx(first_rank(v.numpy(), t.numpy()))
    v, t = torch.cat(values[:2]), torch.cat(truth[:2])
    assert joint["mae"] == pytest.approx(float((v - t).abs().mean()))


def test_an_objective_may_say_which_samples_are_right() -> None:
    found = scored(Rounded)
    assert [(count.correct, count.total) for count in found.counts] == [(0, 7)] * 3
    assert {index: bits.tolist() for index, bits in found.right.items()} == {0: [False] * 7, 1: [False] * 7}
    assert found.classes is None and found.confusion is None and found.calibration is None


@pytest.mark.parametrize("setting", SETTINGS)
def test_inactive_classes_have_no_probability(setting: str) -> None:
    experiences, outputs = stream(setting)
    seen: list[Any] = []
    kept = Score("kept", function=lambda values, truth: float(len(seen.append((values, truth)) or seen)))
    learner = Learner(build("mlp-float32", outputs), [], outputs=outputs, recorded=[kept])
    counts = learner.evaluate(list(experiences))
    for (values, truth), count, experience in zip(seen, counts, experiences, strict=True):
        assert values.shape == (len(experience.test), outputs) and values.sum(1) == pytest.approx(1.0)
        assert truth.tolist() == experience.test.targets.tolist()
        assert count.correct == int((values.argmax(1) == truth).sum())
        if setting == "task-incremental":
            assert set(values.argmax(1).tolist()) <= set(experience.outputs or ())
