"""Online streams: every sample passes once, memories fill as they pass, and boundaries are told to who asks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from strategies.api.compatibility import Listed, online_refusal
from strategies.api.data import Batch, Experience, Samples
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.train_settings import TrainSettings
from strategies.memory.reservoir import Memory
from strategies.methods.ewc import EWC, EWCOptions
from strategies.methods.replay import Replay, ReplayOptions
from strategies.registry import BUILT_IN
from tests.strategies.cases import make_strategy
from tests.strategies.definitions import fisher
from tests.strategies.models import build
from tests.strategies.streams import SETTINGS, Step, stream

ONCE = TrainSettings(epochs=1, batch_size=6, optimizer_options={"lr": 0.02})
REFUSED = {"cumulative", "gdumb", "icarl"}
TOLD = {"naive", "ewc", "si", "mas", "lwf", "gem", "dann"}
NOT_TOLD = {"replay", "der", "agem"}


class Watch(Strategy):
    """Keeps what passes, and when boundaries are told."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: list[Tensor] = []
        self.added: list[int] = []
        self.moments: list[str] = []

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        self.moments.append(f"before {experience.index}")

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        self.moments.append(f"after {experience.index}")

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        self.added.append(batch.total_samples - batch.current)
        return batch

    def observe(self, learner: Learner, samples: Samples, positions: Tensor) -> None:
        self.passed.append(samples.ids[positions])


class Untold(Watch):
    """The same, and does not ask."""

    @property
    def needs_boundaries(self) -> bool:
        return False


def learned(
    setting: str, *strategies: Strategy, experiences: int = 3, online: bool = True, settings: TrainSettings = ONCE
) -> tuple[Learner, list[Step]]:
    steps, outputs = stream(setting)
    learner = Learner(build("mlp", outputs), strategies, outputs=outputs, seed=3, online=online)
    for step in steps[:experiences]:
        learner.learn(step, settings, past=steps[: step.index])
    return learner, steps


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_sample_passes_once_or_the_strategy_says_why_not(name: str, setting: str) -> None:
    watch = Watch()
    try:
        learner, steps = learned(setting, make_strategy(name), watch)
    except StrategyError as refusal:
        assert name in str(refusal)
        assert ":" in str(refusal), "a refusal names what to do instead"
        assert name not in TOLD | NOT_TOLD
        return
    assert name not in REFUSED
    assert sorted(torch.cat(watch.passed).tolist()) == sorted(torch.cat([s.train.ids for s in steps]).tolist())
    assert [len(batch) for batch in watch.passed] == [6, 6, 6, 6, 1] * 3
    assert learner.strategies[0].needs_boundaries == (name not in NOT_TOLD)


@pytest.mark.parametrize(("epochs", "steps"), [(2, None), (None, 5)])
def test_more_or_less_than_once_is_refused(epochs: int | None, steps: int | None) -> None:
    settings = TrainSettings(epochs=epochs, steps=steps, batch_size=6)
    with pytest.raises(StrategyError, match=r"train\.epochs must be 1"):
        learned("class-incremental", settings=settings)
    learned("class-incremental", settings=settings, online=False)


@pytest.mark.parametrize("online", [True, False])
def test_boundaries_are_passed_to_strategies_that_ask(online: bool) -> None:
    asks, does_not = Watch(), Untold()
    learned("class-incremental", asks, does_not, online=online)
    told = [f"{when} {index}" for index in range(3) for when in ("before", "after")]
    assert asks.moments == told
    assert does_not.moments == ([] if online else told)
    assert [p.tolist() for p in asks.passed] == [p.tolist() for p in does_not.passed]


@pytest.mark.parametrize("name", ["replay", "der", "agem"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "options",
    [{"capacity": 11}, {"capacity": 1000}, {"capacity": 14, "policy": "class-balanced", "per_class": 4}],
    ids=str,
)
def test_the_memory_of_an_online_stream_is_the_ordinary_one(name: str, setting: str, options: dict[str, Any]) -> None:
    online, ordinary = (
        learned(setting, make_strategy(name, options), online=online)[0].memories()[name] for online in (True, False)
    )
    for key in ("ids", "targets", "experiences", "inputs"):
        assert torch.equal(online.tensors[key], ordinary.tensors[key])


@pytest.mark.parametrize("policy", ["uniform", "class-balanced"])
def test_the_memory_is_at_any_moment_that_of_what_has_passed(policy: str) -> None:
    steps, outputs = stream("class-incremental")
    replay, watch = make_strategy("replay", {"capacity": 9, "policy": policy}), Watch()
    learner = Learner(build("mlp", outputs), [replay, watch], outputs=outputs, seed=3, online=True)
    expected = Memory(9, policy, 3)
    for step in steps:
        for number, _ in enumerate(learner.steps(step, ONCE, past=steps[: step.index])):
            positions = torch.isin(step.train.ids, watch.passed[-1]).nonzero().squeeze(1)
            inputs, targets = step.train.take(positions)
            expected.add(step.index, {"ids": step.train.ids[positions], "targets": targets, "inputs": inputs})
            held = learner.memories()["replay"]
            assert held.tensors.keys() == expected.tensors.keys()
            assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in held.tensors.items())
            # From the second batch on there is something to replay, the experience's own samples included.
            assert watch.added[-1] == (0 if step.index == number == 0 else len(positions))
        learner.consolidate()


def test_logits_are_those_of_the_moment_in_which_a_sample_was_let_in() -> None:
    steps, outputs = stream("class-incremental")
    der = make_strategy("der", {"capacity": 12})
    learner = Learner(build("mlp", outputs), [der], outputs=outputs, seed=3, online=True)
    known: dict[int, Tensor] = {}
    for step in steps:
        for _ in learner.steps(step, ONCE, past=steps[: step.index]):
            held = learner.memories()["der"].tensors
            now = learner.model(learner.prepare(held["inputs"])).detach()
            for id_, logits, current in zip(held["ids"].tolist(), held["logits"], now, strict=True):
                torch.testing.assert_close(logits, known.setdefault(id_, current))
        learner.consolidate()
    assert len(known) > 12


def test_forgotten_samples_are_not_remembered_as_they_pass() -> None:
    steps, outputs = stream("class-incremental")
    replay = make_strategy("replay", {"capacity": 100})
    learner = Learner(build("mlp", outputs), [replay], outputs=outputs, seed=3, online=True)
    gone = steps[0].train.ids[:5].tolist()
    learner.memories()["replay"].forget(gone)
    learner.learn(steps[0], ONCE)
    assert set(learner.memories()["replay"].tensors["ids"].tolist()) == set(steps[0].train.ids.tolist()) - set(gone)


def test_weights_that_count_experiences_are_refused() -> None:
    with pytest.raises(StrategyError, match="use weighting: samples"):
        learned("class-incremental", make_strategy("replay", {"capacity": 9, "weighting": "experiences"}))


# ---------------------------------------------------------------- online EWC by steps


class Consolidated(Watch):
    """Keeps the model after each step, and what EWC holds then."""

    def __init__(self, ewc: EWC) -> None:
        super().__init__()
        self.ewc = ewc
        self.parameters: list[dict[str, Tensor]] = []
        self.importance: list[dict[str, Tensor]] = []
        self.experiences: list[int] = []

    def observe(self, learner: Learner, samples: Samples, positions: Tensor) -> None:
        super().observe(learner, samples, positions)
        self.parameters.append({n: p.detach().clone() for n, p in learner.model.named_parameters()})
        self.importance.append({n: t.clone() for n, t in self.ewc.penalty.importance.items()})
        self.experiences.append(learner.experience.index)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("setting", ["class-incremental", "task-incremental"])
@pytest.mark.parametrize(("estimate", "samples"), [("true", None), ("empirical", 7)])
def test_ewc_consolidates_every_so_many_steps_what_passed_since(
    online: bool, setting: str, estimate: str, samples: int | None
) -> None:
    """Windows of 4 steps over experiences of 5: the mean Fisher of their samples at the parameters as they are then."""
    given = {"lambda": 3, "mode": "online", "gamma": 0.5, "every": 4, "estimate": estimate, "samples": samples}
    ewc = EWC(EWCOptions.model_validate(given))
    watch = Consolidated(ewc)
    _, steps = learned(setting, ewc, watch, online=online)
    outputs = stream(setting)[1]
    rows = {id_: (step, row) for step in steps for row, id_ in enumerate(step.train.ids.tolist())}
    expected: dict[str, Tensor] = {}
    assert ewc.needs_boundaries is False
    for now in range(15):
        if now % 4 < 3:
            assert watch.importance[now].keys() == expected.keys()
        else:
            # Of 7 samples the four steps of a window give 1, 2, 2 and 2.
            window = [
                ids if samples is None else ids[:n]
                for ids, n in zip(watch.passed[now - 3 : now + 1], (1, 2, 2, 2), strict=True)
            ]
            ids = torch.cat(window).tolist()
            model = build("mlp", outputs)
            model.load_state_dict(watch.parameters[now])
            total: dict[str, Tensor] = {}
            for id_ in ids:
                step, row = rows[id_]
                inputs, target = step.train.take(torch.tensor([row]))
                units = None if step.outputs is None else torch.tensor(step.outputs)
                one = fisher(model, inputs / 255, targets=target if estimate == "empirical" else None, units=units)
                total = {name: value + total.get(name, 0) for name, value in one.items()}
            expected = {name: 0.5 * expected.get(name, 0) + value / len(ids) for name, value in total.items()}
            for name, anchor in ewc.penalty.anchor.items():
                if now == 11:
                    assert torch.equal(anchor, watch.parameters[now][name])
        torch.testing.assert_close(watch.importance[now], expected, rtol=1e-5, atol=1e-9)


def test_every_is_for_the_online_mode() -> None:
    with pytest.raises(ValidationError, match="is for mode: online"):
        EWCOptions.model_validate({"every": 10})
    assert EWCOptions.model_validate({"every": 10, "mode": "online"}).every == 10
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValidationError):
            EWCOptions.model_validate({"every": wrong, "mode": "online"})


def test_with_every_its_options_have_an_effect_at_once() -> None:
    usual, by_steps = EWCOptions(), EWCOptions(mode="online", every=5)
    assert [usual.first_effect(name) for name in ("lambda_", "gamma", "samples")] == [1, 1, 0]
    assert [by_steps.first_effect(name) for name in ("lambda_", "gamma", "samples")] == [0, 0, 0]


@pytest.mark.parametrize("name", BUILT_IN)
def test_who_chooses_what_to_train_on_cannot_learn_online(name: str) -> None:
    kind = type(make_strategy(name))
    chooses = kind.training_set is not Strategy.training_set
    reason = online_refusal(Listed(kind))
    assert (reason is not None) == chooses
    assert reason is None or (reason.startswith(f"{name} ") and ": leave stream.online out" in reason)


def test_options_decide_what_can_be_learned_online() -> None:
    counts = ReplayOptions(weighting="experiences")
    assert online_refusal(Listed(Replay, counts, "again")) == (
        "again with weighting: experiences counts experiences, and an online stream does not say where they end: "
        "use weighting: samples"
    )
    dann = type(make_strategy("dann"))  # is told where experiences end
    assert online_refusal(Listed(dann, dann.Options(weighting="experiences"))) is None
    with pytest.raises(StrategyError, match="replay with weighting: experiences counts experiences"):
        Learner(build("mlp", 6), [Replay(counts)], outputs=6, online=True)
