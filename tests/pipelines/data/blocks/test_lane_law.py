"""The law of the global batch for data that is read by blocks: 1 and 2 ranks learn the same, and keep the same memory.

Covers: `strategies/loop/batches.py` `strategies/memory/newcomers.py`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch
import yaml

from pipelines.build import configure, make_learner, train_settings
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.streams import Stream, build_stream
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from strategies.registry import BUILT_IN
from tests.pipelines.data.blocks.block_files import stream_of_files
from tests.pipelines.own_components import Remember
from tests.processes import Processes
from tests.strategies.cases import QUICK


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


OPTIONS: dict[str, dict[str, Any]] = {
    "generative-replay": {"likelihood": "gaussian"},
    "ewc": {"mode": "online"},
    "mas": {"samples": 12},
    "agem": {"samples": 7},
}
"""What differs from the laws' quick options."""

CASES = {
    # All that are registered: those that cannot learn from blocks would say so here.
    name: yaml.safe_dump([{"name": name, **_plain({**QUICK.get(name, {}), **OPTIONS.get(name, {})})}]).strip()
    for name in BUILT_IN
} | {
    "balanced": "[{name: replay, capacity: 20, policy: class-balanced, per_class: 6}]",
    "ewc-replay": "[{name: ewc, samples: 15}, {name: replay, capacity: 9}]",
    "every-cumulative": "[{name: ewc, mode: online, every: 3}, {name: cumulative}]",
    "online": "[{name: replay, capacity: 20}, {name: ewc, mode: online, every: 3}]",
}


def pipeline_text(name: str, folder: str, more: str = "") -> str:
    online = "online: true, " if name == "online" else ""
    strategy = yaml.safe_dump(yaml.safe_load(CASES[name]), default_flow_style=True, width=1000).strip()
    return (
        f"name: {name}\nstream: {{dataset: {{name: parquet, path: {folder}}}, setting: domain-incremental, {online}"
        f"lanes: 4, window: 2}}\nmodel: {{name: mlp, hidden: [8]}}\nstrategy: {strategy}\n"
        f"train: {{epochs: 1, batch_size: 12, optimizer: {{name: adam, lr: 0.01}}}}\n{more}"
    )


def state_of(learner: Learner) -> dict[str, torch.Tensor]:
    """Everything that goes into a commit."""
    state = {
        f"{part}:{n}": t.detach().clone() for part, named in learner.state_dict().items() for n, t in named.items()
    }
    memories = {f"{n}:{k}": t for n, memory in learner.memories().items() for k, t in memory.tensors.items()}
    return state | memories


def learn(name: str, folder: str, group: Group) -> tuple[dict[str, torch.Tensor], list[list[int]]]:
    pipeline = load_text(pipeline_text(name, folder))
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = make_learner(pipeline, stream, group)
    counts = []
    for index, experience in enumerate(stream):
        configure(learner, pipeline, index)
        learner.learn(experience, train_settings(pipeline, index), past=list(stream)[:index])
        counts.append([count.correct for count in learner.evaluate(list(stream))])
    return state_of(learner), counts


def learn_all(folder: str) -> dict[str, tuple[dict[str, torch.Tensor], list[list[int]]]]:
    return {name: learn(name, folder, Group.current()) for name in CASES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(stream_of_files(tmp_path_factory.mktemp("stream")))


@pytest.fixture(scope="module")
def together(folder: str) -> Iterator[list[dict[str, Any]]]:
    with ExitStack() as stack:
        yield stack.enter_context(Processes(2)).run(learn_all, folder)


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_one_learns(name: str, folder: str, together: list[dict[str, Any]]) -> None:
    alone, counts = learn(name, folder, Group())
    for state, counts_together in (rank[name] for rank in together):
        assert counts_together == counts
        assert state.keys() == alone.keys()
        for key, value in alone.items():
            if key.rpartition(":")[2] in ("ids", "targets", "inputs", "experiences"):
                assert torch.equal(state[key], value), key
            else:
                torch.testing.assert_close(
                    state[key], value, rtol=1e-3, atol=1e-4, msg=lambda text, k=key: f"{k}: {text}"
                )


def resumed(name: str, stream: Stream, folder: str, start: int) -> dict[str, torch.Tensor]:
    """One experience, interrupted after `start` steps: another learner resumes from the state."""
    pipeline = load_text(pipeline_text(name, folder))
    settings = train_settings(pipeline, 0)
    first, second = (make_learner(pipeline, stream, Group()) for _ in range(2))
    steps = first.steps(stream[0], settings)
    for done in steps:
        if done == start:
            break
    steps.close()
    second.load_state_dict(first.state_dict(), optimizer=settings.optimizer)
    for _ in second.steps(stream[0], settings, start=start):
        pass
    second.consolidate()
    return state_of(second)


@pytest.mark.parametrize("start", [1, 4])
def test_it_resumes_anywhere_to_the_bit(start: int, folder: str) -> None:
    pipeline = load_text(pipeline_text("der", folder))
    stream = build_stream(pipeline.stream, pipeline.seed)
    whole = make_learner(pipeline, stream, Group())
    whole.learn(stream[0], train_settings(pipeline, 0))
    again = resumed("der", stream, folder, start)
    expected = state_of(whole)
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[key], value) for key, value in expected.items())


def test_a_strategy_that_needs_all_samples_is_refused(folder: str) -> None:
    text = pipeline_text("naive", folder).replace("{name: naive}", "{name: 'tests.pipelines.own_components:Remember'}")
    with pytest.raises(PipelineError, match="Remember needs all samples of an experience in memory"):
        load_text(text)
    # A learner that was made without a pipeline file says so, too.
    pipeline = load_text(pipeline_text("naive", folder))
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = Learner(make_learner(pipeline, stream).model, [Remember()], outputs=stream.outputs)
    with pytest.raises(StrategyError, match="remember needs all samples of an experience in memory"):
        next(learner.steps(stream[0], train_settings(pipeline, 0)))


def test_samples_in_memory_are_learned_in_lanes_by_any_strategy() -> None:
    text = (
        "name: m\nstream: {dataset: digits, experiences: 5, lanes: 4, window: 2}\nmodel: {name: mlp, hidden: [8]}\n"
        "strategy: [{name: gem, capacity: 20}]\ntrain: {epochs: 1, batch_size: 32}\n"
    )
    pipeline = load_text(text)
    stream = build_stream(pipeline.stream, pipeline.seed)
    learner = make_learner(pipeline, stream, Group())
    losses = []
    learner.learn(stream[0], train_settings(pipeline, 0), listener=lambda report: losses.append(report.samples))
    assert sum(losses) == len(stream[0].train)
