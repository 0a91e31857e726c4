"""A model that two ranks share out learns what one process learns.

Covers: `strategies/loop/sharded_model.py`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.loop.rank_agreement import check_ranks
from strategies.loop.sharded_learner import ShardedLearner
from strategies.loop.sharded_model import is_shared_out, part_of, whole
from strategies.loop.train_settings import TrainSettings
from strategies.methods.adapter import Adapter
from strategies.methods.cumulative import Cumulative
from strategies.methods.ewc import EWC
from strategies.methods.lora import LoRA
from strategies.methods.naive import Naive
from strategies.methods.o_lora import OLoRA
from strategies.methods.replay import Replay, ReplayOptions
from tests.processes import Processes
from tests.strategies.loop.learners import SEED
from tests.strategies.models import build
from tests.strategies.streams import stream

State = dict[str, dict[str, Tensor]]
Case = tuple[str, str, TrainSettings]

# Batches of 13 leave a share without samples, which a rank passes with a placeholder.
CASES: dict[str, Case] = {
    "naive": ("shared", "naive", TrainSettings(2, None, 13, "sgd", {"lr": 0.1, "momentum": 0.9}, clip=0.5)),
    # One rank has two samples of a batch, the other three, and both take three passes.
    "parts": ("unused", "naive", TrainSettings(1, None, 5, "adagrad", {"lr": 0.1}, accumulate=3, warmup=2)),
    "replay": ("batch-norm", "replay", TrainSettings(1, None, 13, "adam", {"lr": 0.01})),
    "frozen": ("frozen", "cumulative", TrainSettings(1, None, 13, "rmsprop", {"lr": 0.01})),
    "lora": ("mlp", "lora", TrainSettings(1, None, 13, "adamw", {"lr": 0.01, "amsgrad": True})),
    "adapter": ("mlp", "adapter", TrainSettings(1, None, 13, "adam", {"lr": 0.01}, reset=True)),
}


def strategies_of(name: str) -> list[Strategy]:
    made: dict[str, Callable[[], Strategy]] = {
        "naive": Naive,
        "replay": lambda: Replay(ReplayOptions(capacity=9)),
        "cumulative": Cumulative,
        "lora": LoRA,
        "adapter": Adapter,
    }
    return [made[name]()]


def learner_of(case: Case, kind: type[Learner]) -> Learner:
    _, outputs = stream("class-incremental")
    return kind(build(case[0], outputs), strategies_of(case[1]), outputs=outputs, seed=SEED)


def learned(case: Case, kind: type[Learner], stop: tuple[int, int] | None = None) -> tuple[State, list[Any], State]:
    """The state at the end, what is counted then, and the state after `stop`: an experience, and its step."""
    experiences, _ = stream("class-incremental")
    learner, between = learner_of(case, kind), State()
    for experience in experiences:
        for step in learner.steps(experience, case[2], past=experiences[: experience.index]):
            if (experience.index, step) == stop:
                between = {p: {n: t.clone() for n, t in named.items()} for p, named in learner.state_dict().items()}
        learner.consolidate()
        check_ranks(learner)
    return learner.state_dict(), [vars(count) for count in learner.evaluate(experiences)], between


def resumed(case: Case, kind: type[Learner], between: State, at: tuple[int, int]) -> State:
    """The state at the end of experience `at[0]`, from the one after its step `at[1]`."""
    experiences, _ = stream("class-incremental")
    learner, index = learner_of(case, kind), at[0]
    learner.load_state_dict(between, optimizer=case[2].optimizer)
    for _ in learner.steps(experiences[index], case[2], past=experiences[:index], start=at[1]):
        pass
    learner.consolidate()
    return learner.state_dict()


def shared_out(names: Sequence[str]) -> list[tuple[State, list[Any], State]]:
    return [learned(CASES[name], ShardedLearner, (2, 1)) for name in names]


def shared_out_from(between: State) -> State:
    return resumed(CASES["naive"], ShardedLearner, between, (2, 1))


def same(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for part in one:
        torch.testing.assert_close(
            {name: t.double() for name, t in one[part].items()},
            {name: t.double() for name, t in other[part].items()},
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip


def test_it_learns_what_one_process_learns(processes: Callable[[int], Processes]) -> None:
    for name, first, second in zip(CASES, *processes(2).run(shared_out, list(CASES)), strict=True):
        state, counts, between = learned(CASES[name], Learner, (2, 1))
        for rank in (first, second):
            same(rank[0], state)
            same(rank[2], between)
            assert rank[1] == counts, name
        assert between, name


def test_what_was_begun_by_any_number_of_ranks_is_ended_by_any(processes: Callable[[int], Processes]) -> None:
    state, _, between = learned(CASES["naive"], Learner, (2, 1))
    for rank in processes(2).run(shared_out_from, between):
        same(rank, state)
    first, _ = processes(2).run(shared_out, ["naive"])
    same(resumed(CASES["naive"], Learner, first[0][2], (2, 1)), state)


def sizes() -> tuple[list[int], int, int, list[int]]:
    """While it learns: elements of each parameter here, of the optimiser's state, and of the model put aside."""
    experiences, _ = stream("class-incremental")
    learner = learner_of(CASES["replay"], ShardedLearner)
    aside = learner.model
    here, kept, left = [], 0, 0
    for _ in learner.steps(experiences[0], CASES["replay"][2]):
        here = [p.to_local().numel() for p in learner.model.parameters()]  # type: ignore[operator]
        tensors = [t for slots in learner._optimizer._optimizer.state.values() for t in slots.values()]  # type: ignore[union-attr]
        kept = sum(t.to_local().numel() for t in tensors if hasattr(t, "to_local"))
        left = sum(p.numel() for p in aside.parameters())
    assert learner.model is aside and not is_shared_out(aside)
    return here, kept, left, [p.numel() for p in aside.parameters()]


def test_each_rank_holds_a_part_while_it_learns(processes: Callable[[int], Processes]) -> None:
    (one, kept, left, full), (two, also, right, _) = processes(2).run(sizes)
    assert [a + b for a, b in zip(one, two, strict=True)] == full
    assert (kept + also, left, right) == (2 * sum(full), 0, 0) and 0 < kept < 2 * sum(full)


def unfit() -> list[str]:
    """What is said of a scalar parameter, and of a loss that becomes NaN on one rank."""
    experiences, outputs = stream("class-incremental")
    model = build("mlp", outputs)
    model.scale = torch.nn.Parameter(torch.ones(()))
    said = []
    try:
        ShardedLearner(model, [], outputs=outputs).learn(experiences[0], TrainSettings())
    except StrategyError as error:
        said.append(str(error))
    learner = ShardedLearner(build("mlp", outputs), [], outputs=outputs)
    try:
        for _ in learner.steps(experiences[0], TrainSettings(batch_size=8)):
            if learner.group.rank == 1:
                learner.prepare = lambda inputs: torch.full(inputs.shape, torch.nan)  # type: ignore[method-assign]
    except NonFiniteLoss as error:
        said.append(str(error.step))
    return said


def test_a_model_that_cannot_be_shared_out_is_refused_and_all_ranks_notice_a_nan(
    processes: Callable[[int], Processes],
) -> None:
    for said in processes(2).run(unfit):
        assert said[0].startswith("scaling.shard: ") and "leave shard out" in said[0]
        assert said[1:] == ["1"]


@pytest.mark.parametrize("kind", [EWC, OLoRA])
def test_a_strategy_that_needs_whole_parameters_is_refused(kind: type[Strategy]) -> None:
    with pytest.raises(StrategyError, match=f"^{kind.name} needs whole parameters.*leave scaling.shard out"):
        ShardedLearner(build("mlp", 6), [Naive(), kind()], outputs=6, group=Group())


def test_a_tensor_that_is_not_shared_out_stays_as_it_is() -> None:
    tensor = torch.ones(3)
    assert whole(tensor) is tensor and part_of(tensor, torch.zeros(3)) is tensor
    assert not is_shared_out(build("mlp", 6))
