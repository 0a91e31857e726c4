"""What PackNet and progressive networks have in common."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from strategies.api.compatibility import Listed, refusals, warnings
from strategies.api.data import Batch
from strategies.api.guide import Setting
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.methods.ewc import EWC
from strategies.methods.naive import Naive
from strategies.methods.progressive import Progressive
from strategies.methods.replay import Replay
from strategies.networks.separate_tasks import SeparateTasks, TaskOptions
from strategies.networks.task_network import TaskNetwork
from tests.strategies.models import build
from tests.strategies.streams import Step, rows, stream

TRAIN = TrainSettings(epochs=1, batch_size=12)


def prepared(setting: str = "task-incremental", **options: object) -> tuple[Learner, SeparateTasks, list[Step]]:
    """After one experience, in the second."""
    experiences, outputs = stream(setting)
    tasks = Progressive(TaskOptions(**options))
    learner = Learner(build("mlp", outputs), [tasks], outputs=outputs, seed=3)
    learner.learn(experiences[0], TRAIN)
    next(learner.steps(experiences[1], TRAIN, past=experiences[:1]))
    return learner, tasks, experiences


def test_a_task_s_units_are_the_active_ones_or_those_that_occur() -> None:
    learner, tasks, experiences = prepared()
    assert tasks.task_units(learner, experiences[1]) == [2, 3]
    learner, tasks, experiences = prepared("class-incremental", infer_task=True)
    assert tasks.task_units(learner, experiences[1]) == [2, 3]
    learner.samples = rows((4,), 5, 1)
    with pytest.raises(StrategyError, match="separate an experience's classes"):
        tasks.task_units(learner, experiences[1])


@pytest.mark.parametrize("infer", [False, True])
def test_what_older_samples_teach(infer: bool) -> None:
    """With inference: to answer evenly. Without: nothing, unless their unit is one of the task's."""
    learner, tasks, _ = prepared(infer_task=infer, exposure=0.3)
    inputs, targets = torch.rand(4, 1, 6, 6), torch.tensor([2, 3, 0, 2])
    batch = Batch(inputs, targets, torch.tensor([1, 1, 0, 0]), None, 4.0, 2, 4)
    output = learner.model(inputs)
    log_p = F.log_softmax(output[:, [2, 3]], 1)
    own = -log_p[0, 0] - log_p[1, 1]
    older = -0.3 * log_p[2:].mean(1).sum() if infer else -log_p[3, 0]
    found = tasks.training_loss(learner, batch, output)
    assert found is not None
    torch.testing.assert_close(found, (own + older) / 4)


def test_the_answer_is_that_of_the_told_task_or_of_the_network() -> None:
    learner, tasks, experiences = prepared()
    network = learner.model.eval()
    assert isinstance(network, TaskNetwork)
    inputs = torch.rand(3, 1, 6, 6)

    def scores(made: SeparateTasks, of: Step) -> Tensor:
        found = made.predict(learner, inputs, of)
        assert found is not None
        return found

    torch.testing.assert_close(scores(tasks, experiences[0]), network.answer(inputs, 0))
    # A task that was not learned: the network answers as it knows.
    torch.testing.assert_close(scores(tasks, experiences[2]), network(inputs))
    tasks.options = TaskOptions(infer_task=True)
    torch.testing.assert_close(scores(tasks, experiences[0]), network(inputs))


def test_what_it_says_of_task_labels() -> None:
    told, inferred = Progressive(TaskOptions()), Progressive(TaskOptions(infer_task=True))
    of_task, of_class = stream("task-incremental")[0][0], stream("class-incremental")[0][0]
    assert (told.task_labels(of_task), told.task_labels(of_class)) == ("given", None)
    assert (inferred.task_labels(of_task), inferred.task_labels(of_class)) == ("inferred", "inferred")


@pytest.mark.parametrize("setting", ["class-incremental", "domain-incremental"])
def test_without_labels_the_task_has_to_be_inferred(setting: Setting) -> None:
    ((problem,),) = warnings([Listed(Progressive)], setting)
    assert "set infer_task: true" in problem
    assert warnings([Listed(Progressive, TaskOptions(infer_task=True))], setting) == [[]]
    assert warnings([Listed(Progressive)], "task-incremental") == [[]]


def test_only_what_adds_something_goes_beside_it() -> None:
    assert refusals([Listed(Progressive), Listed(Naive), Listed(Replay)]) == []
    assert "ewc has nothing to add" in refusals([Listed(Progressive), Listed(EWC)])[0]
