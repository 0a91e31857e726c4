"""Ranks that do not learn the same model are stopped, and layers that would make them are converted or refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.global_batch_norm import check_workers, convert
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.rank_agreement import check_ranks, differing
from strategies.loop.train_settings import TrainSettings
from strategies.methods.replay import Replay, ReplayOptions
from tests.pipelines.models.own_models import build
from tests.processes import Processes
from tests.strategies.streams import SHAPE, stream


def learned(kind: str) -> dict[str, Tensor] | str:
    """The state after an experience, or why it was refused."""
    experiences, outputs = stream("class-incremental")
    torch.manual_seed(0)
    model = build(SHAPE, outputs, kind).double()
    group = Group.current()
    if group.size > 1:
        convert(model)
    learner = Learner(model, [], outputs=outputs, seed=3, group=group)
    try:
        if group.size > 1:
            check_workers(model, learner.example(experiences[0].train))
        learner.learn(experiences[0], TrainSettings(2, None, 7, "sgd", {"lr": 0.1}))
        check_ranks(learner)
    except (StrategyError, PipelineError) as refusal:
        return str(refusal)
    return dict(learner.model.state_dict())


@pytest.mark.parametrize("kind", ["batchnorm", "subclass", "instance"])
def test_statistics_are_those_of_the_global_batch(kind: str, processes: Callable[[int], Processes]) -> None:
    alone = learned(kind)
    for found in processes(4).run(learned, kind):
        torch.testing.assert_close(found, alone, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("alone", "layer '2' (NormedAlone) computes batch normalisation in its own forward()"),
        ("no-statistics", "layer '2' (BatchNorm) keeps no running statistics"),
        ("buffer", "Centre changes its buffer '2.mean' by each worker's own share of a batch"),
    ],
)
def test_other_layers_are_refused_by_name(kind: str, said: str, processes: Callable[[int], Processes]) -> None:
    assert isinstance(learned(kind), dict)
    for found in processes(2).run(learned, kind):
        assert isinstance(found, str) and said in found and "scaling.workers: 1" in found


def found_to_differ() -> list[str]:
    group = Group.current()
    large = torch.tensor([1000.0, 1.0])
    return differing(
        {
            "same": torch.tensor([1.0, float("inf"), -0.0]),
            "rounded": large + group.rank * 1e-4,
            "other": large + group.rank * 10,
            "counted": torch.tensor(5 + group.rank),
            "nan": torch.tensor([float("nan")]),
            "bits": torch.tensor([True, group.rank == 0]),
        },
        group,
    )


def test_what_differs_by_more_than_rounding_is_named_on_every_rank(processes: Callable[[int], Processes]) -> None:
    assert processes(2).run(found_to_differ) == [["bits", "counted", "other"]] * 2
    assert found_to_differ() == []


class Biased(Strategy):
    """Remembers other samples, or learns another model, on each rank."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def after_experience(self, learner: Learner, experience: object) -> None:
        if self.what == "model":
            next(learner.model.parameters()).data.add_(learner.group.rank)
        if self.what == "memory":
            (memory,) = learner.memories().values()
            memory.forget(memory.tensors["ids"][: learner.group.rank].tolist())


def refusal(what: str) -> str:
    experiences, outputs = stream("class-incremental")
    torch.manual_seed(0)
    strategies = [Replay(ReplayOptions(capacity=9)), Biased(what)]
    learner = Learner(build(SHAPE, outputs, "plain"), strategies, outputs=outputs, seed=3)
    learner.learn(experiences[0], TrainSettings(batch_size=10))
    try:
        check_ranks(learner)
    except StrategyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("what", "said"), [("model", "'model: body.weight'"), ("memory", "'memory replay: samples'"), ("nothing", "")]
)
def test_ranks_that_differ_after_an_experience_are_stopped(
    what: str, said: str, processes: Callable[[int], Processes]
) -> None:
    for found in processes(2).run(refusal, what):
        assert said in found and bool(found) == bool(said)
