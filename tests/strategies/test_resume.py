"""Stopping anywhere changes nothing: a learner that resumes from stored state learns the same, to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.memory.reservoir import Shard
from tests.processes import Processes
from tests.strategies.cases import COLUMNS, COMBINED, REGISTERED, Case, Outcome, all_memories, learn, outcome

DROPOUT = Case("dropout", [("replay", {"capacity": 20})], model="dropout")
ACROSS_RANKS_ONLINE = next(case for case in COMBINED if case.name == "online-ewc+replay")
ACROSS_RANKS = Case("ewc+replay", [("ewc", {"lambda": 50}), ("replay", {"capacity": 20})], "task-incremental")

# The other cases stop at every third moment: inside of the experiences and between them.
EVERYWHERE = [case for case in REGISTERED if case.setting == "task-incremental"]

ShardKey = tuple[str, str, int]


@dataclass(frozen=True)
class Stop:
    """Where a learner stood, in bytes only: every tensor has been through safetensors.

    Attributes:
        experience, step: how far it had come.
        state: its `state_dict`.
        shards: the memories' shards as they were first stored.
        lengths: how much of each shard is left.
    """

    experience: int
    step: int
    state: dict[str, bytes]
    shards: dict[ShardKey, bytes]
    lengths: dict[ShardKey, dict[str, int]]


@dataclass
class Recorder:
    """Takes stops; a shard is written once, when its experience is over and it first appears in a memory.

    While the experience is learned, what a memory has of it is written as it is, as checkpoints do.
    """

    shards: dict[ShardKey, bytes] = field(default_factory=dict)

    def stop(self, learner: Learner, experience: int, step: int) -> Stop:
        state = {part: _bytes(tensors) for part, tensors in learner.state_dict().items()}
        lengths = {}
        for (strategy, name), memory in all_memories(learner).items():
            for shard in memory.shards():
                key = (strategy, name, shard.experience)
                lengths[key] = dict(shard.lengths)
                if key not in self.shards or shard.experience == experience:
                    self.shards[key] = _bytes(shard.tensors)
        return Stop(experience, step, state, {key: self.shards[key] for key in lengths}, lengths)


def _bytes(tensors: dict[str, Tensor]) -> bytes:
    assert all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items())
    return save({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()})


def stops(case: Case, group: Group | None = None) -> tuple[list[Stop], Outcome]:
    """Learn the stream undisturbed, with a stop at every moment where a run may end, and the outcome."""
    experiences, outputs = case.stream()
    learner, recorder = case.learner(outputs, group), Recorder()
    taken = []
    for e in experiences:
        taken.append(recorder.stop(learner, e.index, 0))
        case.configure(learner, e.index)
        for step in learner.steps(e, case.settings, past=experiences[: e.index]):
            taken.append(recorder.stop(learner, e.index, step))
        learner.consolidate()
    taken.append(recorder.stop(learner, len(experiences), 0))
    return taken, outcome(learner, [])


def resume(case: Case, stop: Stop, group: Group | None = None) -> Outcome:
    """A new learner resumes from a stop."""
    experiences, outputs = case.stream()
    learner = case.learner(outputs, group)
    state = {part: load(data) for part, data in stop.state.items()}
    case.configure(learner, max(0, stop.experience - (stop.step == 0)))
    learner.load_state_dict(state, optimizer=case.settings.optimizer)
    for (strategy, name), memory in all_memories(learner).items():
        memory.restore(
            Shard(key[2], load(data), stop.lengths[key])
            for key, data in stop.shards.items()
            if key[:2] == (strategy, name)
        )
    for e in experiences[stop.experience :]:
        start = stop.step if e.index == stop.experience else 0
        case.configure(learner, e.index)
        for _ in learner.steps(e, case.settings, past=experiences[: e.index], start=start):
            pass
        learner.consolidate()
    return outcome(learner, [])


def resume_here(case: Case, taken: list[Stop]) -> list[Outcome]:
    """For a rank of a group."""
    return [resume(case, stop, Group.current()) for stop in taken]


def stops_here(case: Case) -> tuple[list[Stop], Outcome]:
    """For a rank of a group."""
    return stops(case, Group.current())


@pytest.mark.parametrize("case", [*REGISTERED, *COMBINED, *COLUMNS, DROPOUT], ids=str)
def test_a_stop_anywhere_changes_nothing(case: Case) -> None:
    taken, undisturbed = stops(case)
    assert len({(stop.experience, stop.step) for stop in taken}) == len(taken) > 9
    for stop in taken if case in EVERYWHERE else taken[1::3]:
        assert resume(case, stop).digest == undisturbed.digest, f"stopped in {stop.experience} after {stop.step} steps"


def test_stops_take_nothing_from_the_undisturbed_run() -> None:
    assert stops(ACROSS_RANKS)[1].digest == learn(ACROSS_RANKS).digest


@pytest.mark.parametrize("case", [ACROSS_RANKS, ACROSS_RANKS_ONLINE], ids=str)
def test_several_ranks_continue_exactly(case: Case, processes: Callable[[int], Processes]) -> None:
    (taken, undisturbed), *_ = processes(2).run(stops_here, case)
    for resumed in processes(2).run(resume_here, case, taken[2::5]):
        assert [o.digest for o in resumed] == [undisturbed.digest] * len(resumed)


def test_another_number_of_ranks_continues(processes: Callable[[int], Processes]) -> None:
    taken, undisturbed = stops(ACROSS_RANKS)
    for resumed in processes(2).run(resume_here, ACROSS_RANKS, taken[2::5])[0]:
        torch.testing.assert_close(resumed.state, undisturbed.state, rtol=1e-6, atol=1e-7)
        assert all(torch.equal(tensor, undisturbed.memories[name]) for name, tensor in resumed.memories.items())
