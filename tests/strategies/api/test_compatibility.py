"""What strategies cannot do together, in a setting or online follows from what they declare, in whatever package."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch

from strategies.api.compatibility import Listed, limits, online_refusal, refusals, setting_refusal, warnings
from strategies.api.guide import CLASS, DOMAIN, ONLINE, SETTINGS, TASK, Limit, Setting
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.api.strategy_errors import StrategyError
from strategies.memory.rehearsal import Rehearsal
from strategies.methods.ewc import EWC
from strategies.methods.gdumb import GDumb
from strategies.methods.packnet import PackNet, PackNetOptions
from strategies.methods.replay import Replay, ReplayOptions
from strategies.objectives.classification import Classification
from strategies.objectives.regression import Regression
from strategies.registry import BUILT_IN
from tests.strategies.cases import QUICK, Case, make_strategy
from tests.strategies.models import build

KINDS = {name: type(make_strategy(name)) for name in BUILT_IN}
PAIRS = list(itertools.combinations(BUILT_IN, 2))

# What was refused when this was written, a part of the reason in front.
REFUSED = """
    both choose what to train on: cumulative icarl
    project the same gradient: gem agem
    trains another loss: gem icarl, agem icarl
    trains a new model: gdumb cumulative, gdumb ewc, gdumb si, gdumb mas, gdumb lwf, gdumb replay
    trains a new model: gdumb der, gdumb gem, gdumb agem, gdumb icarl, gdumb generative-replay, gdumb dann
    trains a new model: gdumb packnet, gdumb progressive, gdumb expand
    dann does what replay does already: dann replay
    must know which experience: dann generative-replay
    needs the model's structure unchanged: expand ewc, expand si, expand mas, expand lwf, expand icarl
    needs the model's structure unchanged: expand generative-replay, expand dann
    never changes what: packnet cumulative, packnet ewc, packnet si, packnet mas, packnet lwf, packnet der, packnet gem
    never changes what: packnet agem, packnet icarl, packnet generative-replay, packnet dann, packnet expand
    never changes what: progressive cumulative, progressive ewc, progressive si, progressive mas, progressive lwf
    never changes what: progressive der, progressive gem, progressive agem, progressive icarl
    never changes what: progressive generative-replay, progressive dann, progressive expand, progressive packnet
"""


def listed(*names: str) -> list[Listed]:
    return [Listed(KINDS[name]) for name in names]


def warned(setting: Setting, *names: str) -> list[str]:
    return list(itertools.chain.from_iterable(warnings(listed(*names), setting)))


# ---------------------------------------------------------------- every pair of registered strategies


def overridden(kind: type[Strategy]) -> set[str]:
    """Hooks with one answer that a strategy gives."""
    hooks = ("training_set", "training_loss", "predict", "restructure")
    return {hook for hook in hooks if getattr(kind, hook) is not getattr(Strategy, hook)}


def hinders(one: type[Strategy], other: type[Strategy]) -> bool:
    """Whether one cannot be beside the other, by their declarations."""
    holds_on = other.needs_fixed_structure or other.freezes_features
    return (
        one.trains_nothing
        or (one.starts_afresh and (holds_on or other.rehearses))
        or (one.freezes_answers and (holds_on or other.works_on_past_answers))
        or (one.freezes_features and other.needs_fixed_structure)
        or (one.adds_parts and (other.starts_afresh or (other.works_on_past_answers and not one.adapts_model)))
        or (one.projects_gradients and (other.projects_gradients or other.trains_other_loss))
        or issubclass(other, one.includes)
        or (one.needs_sample_origin and other.generates_samples)
        or bool(overridden(one) & overridden(other))
    )


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_a_pair_is_refused_exactly_if_the_declarations_say_so(pair: tuple[str, str]) -> None:
    one, other = (KINDS[name] for name in pair)
    expected = hinders(one, other) or hinders(other, one)
    for names in (pair, pair[::-1]):
        found = refusals(listed(*names))
        assert len(found) == expected
        assert all(name in reason for name in names for reason in found)
        assert all(": use one of them" in reason or ": keep one of them" in reason for reason in found)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_a_pair_is_warned_about_exactly_if_the_declarations_say_so(pair: tuple[str, str], setting: Setting) -> None:
    for names in (pair, pair[::-1]):
        for name, beside, found in zip(names, names[::-1], warnings(listed(*names), setting), strict=True):
            kind, other = KINDS[name], KINDS[beside]
            limit = kind.limits.get(setting)
            if limit is not None:
                expected = not (limit.lifted_by and getattr(other, limit.lifted_by))
                defaults = kind.Options()
                expected = expected and all(getattr(defaults, o) == value for o, value in limit.only_with.items())
            else:
                forgets = setting == CLASS and kind.needs_rehearsal_on_shared_head and not other.rehearses
                expected = forgets or (setting != TASK and kind.needs_task_labels)
            assert len(found) == expected
            for text in found:
                assert text.startswith(f"{name} ") and f"({setting}): " in text
                assert text.partition(f"({setting}): ")[2].split()[0] in ("add", "use", "set")


def test_what_was_refused_is_refused_still_for_the_same_reason() -> None:
    known: dict[frozenset[str], str] = {}
    for reason, _, pairs in (line.partition(": ") for line in REFUSED.strip().splitlines()):
        known |= {frozenset(pair.split()): reason.strip() for pair in pairs.split(", ")}
    names = {"naive"}.union(*known)
    for pair in itertools.permutations(names, 2):
        found = refusals(listed(*pair))
        reason = known.get(frozenset(pair))
        assert len(found) == (reason is not None), pair
        assert reason is None or reason in found[0]


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_a_pair_learns_or_is_refused_with_its_reason(pair: tuple[str, str]) -> None:
    for names in (pair, pair[::-1]):
        case = Case("pair", [(name, QUICK.get(name, {})) for name in names])
        experiences, outputs = case.stream()
        if refusals(listed(*names)):
            with pytest.raises(StrategyError):
                case.learner(outputs)
            continue
        learner = case.learner(outputs)
        for experience in experiences:
            learner.learn(experience, case.settings, past=experiences[: experience.index])
        untrained = build(case.model, outputs).state_dict()
        trained = learner.model.state_dict()
        assert all(tensor.isfinite().all() for tensor in trained.values())
        if trained.keys() == untrained.keys():  # no architecture is among them
            assert not any(torch.equal(trained[name], tensor) for name, tensor in untrained.items())


def test_three_strategies_are_checked_pair_by_pair() -> None:
    assert len(refusals(listed("gdumb", "ewc", "replay"))) == 2


# ---------------------------------------------------------------- who is warned that it forgets


@pytest.mark.parametrize(
    "pair", ["ewc der", "lwf generative-replay", "ewc dann", "si gem", "mas icarl", "agem der", "ewc agem"]
)
def test_whatever_rehearses_is_rehearsal(pair: str) -> None:
    first, second = pair.split()
    assert " alone forgets " in "".join(warned(CLASS, first))
    for names in ((first, second), (second, first)):
        assert not [text for text in warned(CLASS, *names) if text.startswith(f"{first} ")]


def test_a_method_that_forgets_alone_is_warned_about_with_what_to_add() -> None:
    assert warned(CLASS, "ewc", "naive") == [
        "ewc alone forgets on one head that all classes share (class-incremental): add {name: replay}, "
        "or use setting: task-incremental"
    ]
    # It keeps samples already: a second memory is not the remedy.
    assert "use {name: replay} with the same memory" in warned(CLASS, "agem", "ewc")[0]
    assert "add {name: replay}" in warned(DOMAIN, "expand")[0] and not warned(TASK, "expand")
    assert not warned(DOMAIN, "expand", "gem") and not warned(DOMAIN, "ewc")


# ---------------------------------------------------------------- strategies of other packages


class MineOptions(StrategyOptions):
    careful: bool = False


class Mine(Strategy):
    """Declares nothing."""


class EWCPlus(EWC):
    """A subclass, with a name of its own."""

    name = "ewc-plus"


class Remember(Strategy):
    """Replays in a way of its own."""

    rehearses = True
    keeps_samples = True


@pytest.mark.parametrize("partner", [Remember, type("Kept", (Rehearsal,), {}), type("More", (Replay,), {})])
def test_rehearsal_of_one_s_own_is_recognised(partner: type[Strategy]) -> None:
    for name in ("ewc", "si", "mas", "lwf", "agem", "expand"):
        pair = [Listed(KINDS[name]), Listed(partner)]
        assert warnings(pair, CLASS) == [[], []] == warnings(pair[::-1], CLASS)
    assert len(refusals([Listed(GDumb), Listed(partner)])) == 1


def test_messages_name_a_subclass_by_its_own_name() -> None:
    ((text,),) = warnings([Listed(EWCPlus)], CLASS)
    assert text.startswith("ewc-plus alone forgets ")
    assert warnings([Listed(EWCPlus), Listed(Replay)], CLASS) == [[], []]
    (reason,) = refusals([Listed(EWCPlus), Listed(GDumb)])
    assert reason.startswith("gdumb trains") and "ewc-plus has nothing to keep" in reason


def test_texts_call_a_strategy_what_the_file_calls_it() -> None:
    pair = [Listed(EWCPlus, written="my.module:EWCPlus"), Listed(PackNet, written="shares")]
    assert refusals(pair) == [
        "shares never changes what an experience has learned, so my.module:EWCPlus has nothing to add: "
        "use one of them, or {name: replay}"
    ]
    found = [texts[0].partition(" ")[0] for texts in warnings(pair, CLASS)]
    assert found == ["my.module:EWCPlus", "shares"]
    once = online_refusal(Listed(GDumb, written="dumb"))
    assert once is not None and once.startswith("dumb chooses what to train on")


def test_what_declares_nothing_goes_with_everything() -> None:
    for kind in KINDS.values():
        assert bool(refusals([Listed(Mine), Listed(kind)])) == kind.trains_nothing
    assert [warnings([Listed(Mine)], setting) for setting in SETTINGS] == [[[]]] * 3
    assert online_refusal(Listed(Mine)) is None


def test_declarations_of_one_s_own_are_understood() -> None:
    class Told(Strategy):
        """Asks for tasks."""

        needs_task_labels = True
        objectives = ("classification", "multi-label")
        Options = MineOptions
        limits: ClassVar[Mapping[str, Limit]] = {
            TASK: Limit("guesses", "set careful: true", only_with={"careful": False}),
            ONLINE: Limit("waits", "leave stream.online out", only_with={"careful": True}),
        }

    assert warnings([Listed(Told)], DOMAIN) == [
        ["told needs the task of each test sample, which is not given (domain-incremental): "
         "use setting: task-incremental"]
    ]  # fmt: skip
    assert warnings([Listed(Told)], TASK) == [["told guesses (task-incremental): set careful: true"]]
    careful = Listed(Told, MineOptions(careful=True))
    assert warnings([careful], TASK) == [[]]
    assert online_refusal(careful) == "told waits: leave stream.online out" and online_refusal(Listed(Told)) is None
    assert limits(Told).keys() == {CLASS, TASK, DOMAIN, ONLINE} and limits(Told)[TASK] == "guesses: set careful: true"

    class Both(Strategy):
        """Contains another."""

        includes = (Told,)

    (reason,) = refusals([Listed(Told), Listed(Both)])
    assert reason.startswith("both does what told does already")


def test_an_objective_that_a_strategy_is_not_for_is_refused() -> None:
    assert refusals(listed("icarl", "ewc"), objective="regression") == [
        "icarl is for classification, not for regression: use {name: replay}, which suits any"
    ]
    assert refusals(listed("ewc", "replay"), objective="regression") == []


def test_options_that_need_classes_are_refused_where_there_are_none() -> None:
    balanced = Listed(Replay, ReplayOptions(policy="class-balanced"), "mine")
    assert refusals([balanced]) == []
    assert refusals([balanced], "regression", targets="numbers") == [
        "mine shares its memory among classes (policy: class-balanced), and there are none: set policy: uniform"
    ]


def test_an_objective_that_is_not_defined_in_a_setting_is_refused() -> None:
    assert setting_refusal(Classification, "class-incremental") is None
    assert setting_refusal(Regression, "domain-incremental") is None
    assert setting_refusal(Regression, "class-incremental") == (
        "regression has no classes that could come one after the other: use task-incremental or domain-incremental"
    )


def test_hooks_that_have_one_answer() -> None:
    class Growing(Strategy):
        """Changes the model."""

        def restructure(self, model, state):  # type: ignore[no-untyped-def]
            return model

    class Shrinking(Growing):
        """Classifies its own way, too."""

        def predict(self, learner, inputs, experience):  # type: ignore[no-untyped-def]
            return inputs

    assert refusals([Listed(Growing), Listed(Shrinking)]) == [
        "growing and shrinking both change the model's structure: keep one of them"
    ]
    assert refusals([Listed(Shrinking), *listed("icarl")]) == [
        "shrinking and icarl both choose how to classify: keep one of them"
    ]
    assert refusals([Listed(Growing), *listed("replay")]) == []


def test_what_declarations_cannot_say_a_class_says_itself() -> None:
    class Particular(Strategy):
        """Has objections of its own."""

        @classmethod
        def problems(cls, options: Any, *, setting: str, others: Any) -> list[str]:
            return [f"particular in {setting} beside {' '.join(others)}"]

        @classmethod
        def conflict(cls, other: type[Strategy]) -> str | None:
            return "particular about owners of tasks: leave it out" if other.needs_task_labels else None

        @classmethod
        def online_problem(cls, options: Any) -> str | None:
            return "particular about time: leave stream.online out"

    pair = [Listed(Particular), Listed(PackNet, PackNetOptions(infer_task=True), "shares")]
    assert warnings(pair, CLASS) == [["particular in class-incremental beside shares"], []]
    assert refusals(pair[::-1]) == ["particular about owners of tasks: leave it out"]
    assert online_refusal(pair[0]) == "particular about time: leave stream.online out"
