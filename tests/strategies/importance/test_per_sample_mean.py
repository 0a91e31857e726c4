"""Means of per-sample statistics, over the ranks that share the samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from strategies.importance import per_sample_mean as module
from strategies.importance.per_sample_mean import mean_importance
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.train_settings import TrainSettings
from strategies.methods.naive import Naive
from tests.processes import Processes
from tests.strategies.models import build
from tests.strategies.streams import stream

NAME = "model.3.bias"


def means(samples: int | None, purpose: str = "test") -> dict[str, Tensor]:
    """Of a statistic that is the sum of the inputs, for one parameter."""
    experiences, outputs = stream("class-incremental")
    learner = Learner(build("mlp", outputs), [Naive()], outputs=outputs, seed=3, group=Group.current())
    steps = learner.steps(experiences[0], TrainSettings(steps=1, epochs=None, batch_size=4))
    next(steps)

    def moment(inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        assert len(inputs) == len(targets) <= module.CHUNK
        return {NAME: torch.full((outputs,), float(inputs.double().sum())).double()}

    return mean_importance(learner, experiences[0], samples, purpose, moment)


@pytest.mark.parametrize("chunk", [7, 500])
def test_it_is_the_mean_over_all_samples_and_zero_elsewhere(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    found = means(None)
    train = stream("class-incremental")[0][0].train
    expected = float((train.inputs.double() / 255).sum()) / len(train)
    assert found[NAME].tolist() == pytest.approx([expected] * len(found[NAME]))
    assert all(not tensor.any() for name, tensor in found.items() if name != NAME)


def test_a_draw_of_samples_depends_on_its_purpose_alone() -> None:
    assert torch.equal(means(5)[NAME], means(5)[NAME])
    assert not torch.equal(means(5, "another")[NAME], means(5)[NAME])
    # More than there are is all of them.
    torch.testing.assert_close(means(1000)[NAME], means(None)[NAME])


@pytest.mark.parametrize("samples", [None, 2])
def test_ranks_come_to_the_same_mean(samples: int | None, processes: Callable[[int], Processes]) -> None:
    alone = means(samples)[NAME]
    for found in processes(3).run(means, samples):
        torch.testing.assert_close(found[NAME], alone)
