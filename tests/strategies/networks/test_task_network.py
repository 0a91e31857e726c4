"""Answers without task labels: each unit by its task, or by the task that is inferred."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.replay import Replay, ReplayOptions
from strategies.networks.task_network import TaskNetwork, stored_units
from tests.strategies.cases import make_strategy
from tests.strategies.models import build
from tests.strategies.streams import Step, stream

TRAIN = TrainSettings(epochs=8, batch_size=5, optimizer_options={"lr": 0.01})


class Fixed(TaskNetwork):
    """Answers with given logits, whatever it is asked."""

    def __init__(self, outputs: int, *tasks: tuple[list[int], list[float]]) -> None:
        super().__init__(outputs)
        for number, (units, _) in enumerate(tasks):
            self.add_head(torch.nn.Identity(), units, number)
        self.logits = [torch.tensor([logits]) for _, logits in tasks]

    def answers(self, inputs: Tensor, tasks: object) -> list[Tensor]:
        assert hasattr(tasks, "__iter__")
        return [self.logits[task].expand(len(inputs), -1) for task in tasks]


ONE = torch.zeros(1, 1)


def test_each_unit_is_answered_by_its_task() -> None:
    network = Fixed(5, ([0, 3], [1.0, 2.0]), ([1, 2], [5.0, 6.0])).eval()
    assert network(ONE).tolist() == [[1.0, 5.0, 6.0, 2.0, -torch.inf]]
    assert network.answer(ONE, 0).tolist() == [[1.0, -torch.inf, -torch.inf, 2.0, -torch.inf]]


def test_the_newest_task_answers_units_that_several_have() -> None:
    network = Fixed(3, ([0, 1], [1.0, 2.0]), ([1, 2], [5.0, 6.0])).eval()
    assert network(ONE).tolist() == [[1.0, 5.0, 6.0]]


def test_in_training_the_newest_task_answers_alone() -> None:
    network = Fixed(3, ([0, 1], [1.0, 2.0]), ([1, 2], [5.0, 6.0])).train()
    assert network(ONE).tolist() == [[0.0, 5.0, 6.0]]


def test_the_task_with_the_lowest_entropy_is_inferred() -> None:
    """The second is sure of itself; the first has the larger logits."""
    network = Fixed(4, ([0, 1], [90.0, 91.0]), ([2, 3], [0.0, 4.0])).eval()
    network.infer = True
    scores = network(ONE)[0]
    assert scores.argmax() == 3
    torch.testing.assert_close(scores[2:], torch.tensor([0.0, 4.0]).log_softmax(0))
    # Within the other task the order stays, for those who know the task.
    assert scores[0] < scores[1] < scores[2]
    torch.testing.assert_close(scores.softmax(0)[2:], torch.tensor([0.0, 4.0]).softmax(0))


def test_an_inferred_task_answers_all_units_that_it_shares() -> None:
    network = Fixed(2, ([0, 1], [0.0, 9.0]), ([0, 1], [1.0, 0.0])).eval()
    network.infer = True
    torch.testing.assert_close(network(ONE)[0], torch.tensor([0.0, 9.0]).log_softmax(0))


def learned(name: str, setting: str, *others: Strategy, **options: object) -> tuple[Learner, list[Step]]:
    experiences, outputs = stream(setting, test=120)
    learner = Learner(build("mlp", outputs), [make_strategy(name, options), *others], outputs=outputs, seed=3)
    for e in experiences:
        learner.learn(e, TRAIN, past=experiences[: e.index])
    return learner, experiences


def accuracy(learner: Learner, experiences: list[Step]) -> float:
    counts = learner.evaluate(experiences)
    return sum(count.correct for count in counts) / sum(count.total for count in counts)


@pytest.mark.parametrize("name", ["progressive", "packnet"])
def test_tasks_are_inferred_better_than_by_chance(name: str) -> None:
    learner, experiences = learned(name, "class-incremental", infer_task=True)
    assert [learner.task_labels(e) for e in experiences] == ["inferred"] * 3
    with learner.evaluating(), torch.no_grad():
        found = [learner.scores(learner.prepare(e.test.inputs), e).argmax(1) // 2 == e.index for e in experiences]
    assert torch.cat(found).double().mean() > 0.42  # chance: 1/3
    assert accuracy(learner, experiences) > 0.4  # naive learning: 1/3


@pytest.mark.parametrize("name", ["progressive", "packnet"])
def test_who_infers_does_not_look_at_the_labels(name: str) -> None:
    inferring, experiences = learned(name, "task-incremental", infer_task=True)
    told, _ = learned(name, "task-incremental")
    assert [told.task_labels(e) for e in experiences] == ["given"] * 3
    without, _ = learned(name, "class-incremental", infer_task=True)
    assert accuracy(inferring, experiences) == accuracy(without, experiences)
    assert accuracy(told, experiences) > accuracy(inferring, experiences) + 0.1


@pytest.mark.parametrize("name", ["progressive", "packnet"])
def test_replayed_samples_teach_a_task_what_is_not_its_own(name: str) -> None:
    """The newest task's entropy on the first domain's samples is higher for them."""
    entropies = []
    for exposure in (0.0, 1.0):
        replay = Replay(ReplayOptions(capacity=30, ratio=0.5))
        learner, experiences = learned(name, "domain-incremental", replay, infer_task=True, exposure=exposure)
        network = learner.model
        assert isinstance(network, TaskNetwork)
        with learner.evaluating(), torch.no_grad():
            p = network.answer(learner.prepare(experiences[0].test.inputs), 2).softmax(1)
        entropies.append(float(-(p * p.log()).sum(1).mean()))
    assert entropies[1] > entropies[0] + 0.02


@pytest.mark.parametrize(
    "units",
    [
        None,
        torch.tensor([0.0, 1.0]),
        torch.tensor(1),
        torch.tensor([], dtype=torch.int64),
        torch.tensor([1, 0]),
        torch.tensor([1, 1]),
        torch.tensor([-1, 2]),
        torch.tensor([0, 6]),
        torch.arange(7),
    ],
)
def test_units_that_cannot_be_are_refused(units: Tensor | None) -> None:
    with pytest.raises(ValueError, match="the units of task 3"):
        stored_units({} if units is None else {"heads.3.units": units}, 3, 6)
