"""Options that change from one experience to the next mean the same whether a run stops in between or not."""

from __future__ import annotations

from typing import Any, get_args, get_origin

import pytest

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.strategy import StrategyOptions
from strategies.memory.reservoir import Memory
from strategies.registry import BUILT_IN
from tests.strategies.cases import QUICK, Case, learn, make_strategy
from tests.strategies.test_resume import resume, stops

NEEDED: dict[str, dict[str, Any]] = {"every": {"mode": "online"}, "per_class": {"policy": "class-balanced"}}
"""What an option can only be set together with."""


def other(options: StrategyOptions, name: str) -> Any:
    """Another value than the option has."""
    now, kinds = getattr(options, name), {*_kinds(type(options).model_fields[name].annotation)}
    if isinstance(now, bool):
        return not now
    if isinstance(now, str):
        return next(kind for kind in kinds if isinstance(kind, str) and kind != now)
    if isinstance(now, tuple):
        return (*now, "4" if str in kinds else 4)
    if now is None:
        return 3
    return max(1, now // 3) if int in kinds else now * 0.7


def _kinds(annotation: Any) -> list[Any]:
    inner = [kind for part in get_args(annotation) for kind in _kinds(part)]
    return inner if get_origin(annotation) is not None or inner else [annotation]


def _options() -> list[tuple[str, str]]:
    return [(name, option) for name in BUILT_IN for option in type(make_strategy(name).options).model_fields]


def _written(name: str, option: str) -> tuple[StrategyOptions, str, dict[str, Any]]:
    """A strategy's options, the alias of one of them, and the strategy's entry in a file."""
    known = type(make_strategy(name).options).model_fields
    entry = {**QUICK.get(name, {}), **{k: v for k, v in NEEDED.get(option, {}).items() if k in known}}
    return make_strategy(name, entry).options, known[option].alias or option, entry


@pytest.mark.parametrize(("name", "option"), _options())
def test_an_option_is_changed_alike_by_a_run_that_stops_or_is_refused(name: str, option: str) -> None:
    options, alias, entry = _written(name, option)
    value = other(options, option)
    assert value != getattr(options, option)
    setting = "domain-incremental" if name == "dann" else "class-incremental"
    if option in options.fixed():
        document = {"name": name, **{k: list(v) if isinstance(v, tuple) else v for k, v in entry.items()}}
        with pytest.raises(PipelineError) as refused:
            _pipeline(setting, document, {alias: list(value) if isinstance(value, tuple) else value})
        assert f"p:6: train.per_experience.1.strategy.{name}.{alias}: holds for the whole stream" in str(refused.value)
        assert "set it under strategy" in str(refused.value)
        return
    case = Case(option, [(name, entry)], setting, changes={1: {alias: value}})
    taken, undisturbed = stops(case)
    for stop in taken:
        assert resume(case, stop).digest == undisturbed.digest, f"stopped in {stop.experience} after {stop.step} steps"


def _pipeline(setting: str, strategy: dict[str, Any], change: dict[str, Any]) -> None:
    load_text(
        f"name: x\nstream: {{dataset: digits, setting: {setting}, experiences: 3}}\nmodel: mlp\n"
        f"strategy: [{strategy!r}]\ntrain:\n"
        f"  per_experience: {{1: {{strategy: {{{strategy['name']}: {change!r}}}}}}}\n".replace("None", "null"),
        "p",
    )


def test_an_option_that_holds_for_the_whole_stream_may_be_repeated() -> None:
    replay = {"name": "replay", "policy": "class-balanced", "per_class": 5}
    _pipeline("class-incremental", replay, {"per_class": 5, "capacity": 7})


def test_a_lower_capacity_trims_the_memory_before_the_first_step() -> None:
    case = Case("less", [("replay", {"capacity": 20})], changes={1: {"capacity": 4}, 2: {"capacity": 20}})
    experiences, outputs = case.stream()
    learner = case.learner(outputs)
    learner.learn(experiences[0], case.settings)
    before = next(iter(learner.memories().values())).tensors
    case.configure(learner, 1)
    steps = learner.steps(experiences[1], case.settings)
    next(steps)
    (memory,) = learner.memories().values()
    smallest = Memory(4, seed=3)
    smallest.add(0, {name: before[name] for name in ("ids", "targets", "inputs")})
    assert len(before["ids"]) == 20 and len(memory) == 4
    assert sorted(memory.tensors["ids"].tolist()) == sorted(smallest.tensors["ids"].tolist())
    assert learn(case).memories["replay.replay:ids"].shape == (20,)
