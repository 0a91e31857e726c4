"""Interrupted equals uninterrupted: processes, SIGKILL at every kind of moment, every strategy, one and two ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.checkpointing.checkpoint import latest_checkpoint
from orchestrator.events import Resumed, from_dict
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from strategies.loop.process_group import Group
from strategies.registry import BUILT_IN
from tests.faults.invariants import content, violations
from tests.faults.victim import Victims, prepared

# One process after another resumes the same lineage, and is killed at the next of these moments.
EVERYWHERE = [
    # experience 0
    "step 7",
    "checkpoint half 1",
    "checkpoint before 2",
    "checkpoint after 1",
    "consolidation 1",
    "evaluation 7",
    "blob half 2",
    "commit before 1",
    "commit half 1",
    "commit after 1",
    # experience 1
    "checkpoint half 1",
    "ref half 1",
    # experience 2
    "step 2",
    "sweep before 1",
    # experience 3, and into experience 4
    "ref after 1",
    "blob after 1",
    "commit after 1",
]
# A commit is written while the next experience is learned: a process may find that there is nothing left to do.
PERHAPS = EVERYWHERE[-3:]
# Those at which the state of a strategy matters, or which lie in the middle of others.
EACH = [
    moment
    for moment in EVERYWHERE
    if moment.startswith(("step", "checkpoint", "consolidation", "evaluation"))
    or moment in ("blob half 2", "commit half 1", "commit after 1", "ref after 1")
]
TOGETHER = [
    ("step 7", 1),
    ("consolidation 1", 1),
    ("evaluation 2", 1),
    ("blob half 2", 0),
    ("commit before 1", 0),
    ("commit after 1", 0),
    ("checkpoint half 1", 0),
    ("step 3", 0),
    ("ref before 1", 0),
]


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    # `nn.Module.to_empty` of models without memory imports SymPy, DistributedDataParallel torch's compiler.
    with Victims("torch.fx.experimental.symbolic_shapes", "torch._dynamo") as started:
        yield started


def pipeline(folder: Path, strategy: str, experiences: int = 5) -> str:
    order = [[2 * index, 2 * index + 1] for index in range(experiences)]
    return (
        f"name: digits\nstream: {{dataset: digits, setting: task-incremental, order: {order}}}\n"
        f"model: {{name: mlp, hidden: [12]}}\nstrategy: {strategy}\nstorage: {folder}\n"
        "train: {steps: 24, batch_size: 20, checkpoint_every: 4, optimizer: {name: adam}, warmup: 5}\n"
    )


def lineage(text: str) -> Lineage:
    made = prepared(text)[0]
    return Lineage(open_store(made.storage), made.name)


def result(text: str) -> list[dict[str, Any]]:
    return content(lineage(text), prepared(text)[2])


def finish(victims: Victims, text: str, ranks: int = 1) -> None:
    ending = victims.live(text, ranks=ranks)
    assert ending.finished, ending.errors


COMBINATIONS: Sequence[str] = [
    *(f"[{{name: {name}}}]" for name in BUILT_IN),
    "[{name: ewc, lambda: 10, samples: 100}, {name: replay, capacity: 50, policy: class-balanced}]",
]


@pytest.mark.parametrize("strategy", COMBINATIONS)
def test_one_process(victims: Victims, strategy: str, tmp_path: Path) -> None:
    """The last strategy at all moments, the others where their own state is at stake."""
    undisturbed, disturbed = pipeline(tmp_path / "a", strategy), pipeline(tmp_path / "b", strategy)
    finish(victims, undisturbed)
    verified: set[str] = set()
    for moment in EVERYWHERE if strategy == COMBINATIONS[-1] else EACH:
        ending = victims.live(disturbed, moment)
        assert ending.killed or (ending.finished and moment in PERHAPS), (moment, ending)
        assert violations(lineage(disturbed), verified=verified) == [], moment
    finish(victims, disturbed)
    assert result(disturbed) == result(undisturbed)
    kept = lineage(disturbed)
    assert [latest_checkpoint(kept, planned.id, Group()) for planned in prepared(disturbed)[2]] == [None] * 5


@pytest.mark.parametrize(("number", "strategy"), list(enumerate(COMBINATIONS)))
def test_two_ranks(victims: Victims, number: int, strategy: str, tmp_path: Path) -> None:
    """The last strategy at all moments, the others at every fifth, in turn."""
    moments = TOGETHER if number == len(COMBINATIONS) - 1 else TOGETHER[number % 5 :: 5]
    undisturbed, disturbed = pipeline(tmp_path / "a", strategy, 3), pipeline(tmp_path / "b", strategy, 3)
    finish(victims, undisturbed, ranks=2)
    for moment, victim in moments:
        ending = victims.live(disturbed, moment, ranks=2, victim=victim)
        assert ending.killed, (moment, ending)
        assert violations(lineage(disturbed)) == [], moment
    finish(victims, disturbed, ranks=2)
    assert result(disturbed) == result(undisturbed)


def test_it_continues_from_the_checkpoint_and_not_from_the_beginning(victims: Victims, tmp_path: Path) -> None:
    text = pipeline(tmp_path, "[{name: replay}]", 2)
    assert victims.live(text, "checkpoint after 1").killed
    ending = victims.live(text, "step 1")
    events = [from_dict(data) for data in ending.events]
    assert [event for event in events if isinstance(event, Resumed)] == [Resumed(0, 4)]


def test_a_group_of_another_size_continues(victims: Victims, tmp_path: Path) -> None:
    """One rank, then two, then one: the same memory, the same ids, the same counts."""
    strategy = "[{name: replay, capacity: 50}]"
    undisturbed, disturbed = pipeline(tmp_path / "a", strategy, 3), pipeline(tmp_path / "b", strategy, 3)
    finish(victims, undisturbed)
    assert victims.live(disturbed, "checkpoint after 1", ranks=1).killed
    assert victims.live(disturbed, "checkpoint after 1", ranks=2).killed
    finish(victims, disturbed)
    for mine, theirs in zip(result(disturbed), result(undisturbed), strict=True):
        assert (mine["id"], mine["memories"], mine["steps"]) == (theirs["id"], theirs["memories"], theirs["steps"])
        assert mine["row"] == theirs["row"]
