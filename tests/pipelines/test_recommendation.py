"""Recommendations over all situations: what is suggested runs, and what is not has a reason."""

from __future__ import annotations

import itertools
import re

import pytest
import yaml

from pipelines.build import strategy_class
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.recommendation import Recommendation, recommend
from strategies.api.selection_rules import (
    CLASS,
    DOMAIN,
    DOMAIN_ADAPTATION,
    FAMILIES,
    FEW_SHOT,
    FINE_TUNING,
    LANGUAGE_MODEL,
    PRETRAINING,
    RULES,
    TASK,
)
from strategies.registry import BUILT_IN

SITUATIONS = list(itertools.product((CLASS, TASK, DOMAIN), (False, True), (None, 0, 200, 5000)))


def pipeline(
    setting: str = CLASS, online: bool = False, strategy: str = "[{name: naive}]", train: str = ""
) -> Pipeline:
    return load_text(
        f"name: r\nstream: {{dataset: digits, setting: {setting}, experiences: 5, online: {str(online).lower()}}}\n"
        f"model: {{name: mlp, hidden: [8]}}\nstrategy: {strategy}\ntrain: {{epochs: 1{train}}}\n"
    )


def pretrained(family: str, setting: str) -> Pipeline:
    """Its files are not read."""
    texts = family in (LANGUAGE_MODEL, PRETRAINING)
    prompt = ", prompt: question, text: answer" if family == LANGUAGE_MODEL else ""
    return load_text(
        f"name: r\nobjective: {'next-token' if texts else 'classification'}\n"
        f"stream: {{dataset: {{name: {'documents' if texts else 'text'}, path: t, tokenizer: t{prompt}}}, "
        f"setting: {setting}}}\n"
        f"model: {{name: transformers, pretrained: t, head: {'causal-lm' if texts else 'sequence-classification'}}}\n"
        "train: {epochs: 1}\n"
    )


FAMILY_SITUATIONS = [
    (family, setting, memory)
    for family in FAMILIES
    for setting in (CLASS, TASK, DOMAIN)
    for memory in (0, 500)
    if not (setting != DOMAIN and family in (LANGUAGE_MODEL, PRETRAINING, DOMAIN_ADAPTATION))
    and not (setting == DOMAIN and family == FINE_TUNING)
]


@pytest.mark.parametrize(("family", "setting", "memory"), FAMILY_SITUATIONS)
def test_pretrained_models_get_what_suits_them(family: str, setting: str, memory: int) -> None:
    made = pretrained(family, setting)
    found = recommend(made, memory, few=family == FEW_SHOT)
    assert found.situation.family == family
    kinds = [strategy_class(name) for name in next(iter(titles(found)), "").split(" + ")]
    assert any(not kind.starts_afresh for kind in kinds)
    own = {" + ".join(rule.names) for rule in RULES if family in rule.families}
    assert titles(found)[0] in own
    assert memory or not any(strategy_class(n).keeps_samples for title in titles(found) for n in title.split(" + "))


def titles(found: Recommendation) -> list[str]:
    return [suggestion.title for suggestion in found.suggestions]


@pytest.mark.parametrize(("setting", "online", "memory"), SITUATIONS)
def test_what_is_suggested_fits_the_file_and_what_is_not_has_a_reason(
    setting: str, online: bool, memory: int | None
) -> None:
    found = recommend(pipeline(setting, online), memory)
    for suggestion in found.suggestions:
        made = pipeline(setting, online, yaml.safe_dump(suggestion.strategies, default_flow_style=True).strip())
        assert not made.warnings(), suggestion.title
        assert suggestion.why and suggestion.source and suggestion.time and suggestion.memory
        assert re.search(r"\d{4}", suggestion.source)
        kept = [spec.options.capacity for spec in made.strategy if hasattr(spec.options, "capacity")]
        if memory is not None:
            assert kept == [memory] * len(kept) and (memory > 0 or not kept)
    suggested = {entry["name"] for suggestion in found.suggestions for entry in suggestion.strategies}
    assert suggested | set(found.unfit) == set(BUILT_IN) and not suggested & set(found.unfit)
    assert all(reasons and all(reasons) for reasons in found.unfit.values())
    # Only new classes in one pass without any sample leave nothing to suggest.
    assert bool(found.suggestions) == ((setting, online, memory) != (CLASS, True, 0))
    assert len(titles(found)) == len(set(titles(found)))
    if found.suggestions:
        loaded = yaml.safe_load(found.snippet)
        assert loaded == {"strategy": found.suggestions[0].strategies}
    else:
        assert found.snippet == ""


def test_what_the_papers_say_decides_the_order() -> None:
    # Buzzega et al. 2020: with 200 samples stored logits make the difference.
    assert titles(recommend(pipeline(), 200))[0] == "der"
    assert titles(recommend(pipeline(), 5000))[:2] == ["replay", "ewc + replay"]
    # van de Ven et al. 2022: without samples nothing but a generator helps new classes, and EWC does not.
    nothing = recommend(pipeline(), 0)
    assert titles(nothing) == ["generative-replay"]
    assert "shared" in " ".join(nothing.unfit["ewc"]) or "share" in " ".join(nothing.unfit["ewc"])
    assert titles(recommend(pipeline(TASK), 0))[:2] == ["lwf", "ewc"]
    assert titles(recommend(pipeline(online=True), 1000)) == ["replay", "der"]
    assert titles(recommend(pipeline(TASK, online=True), 0)) == ["ewc"]


def test_reasons_are_the_strategies_own() -> None:
    found = recommend(pipeline(online=True), 0)
    assert any("gdumb" in reason and "once" in reason for reason in found.unfit["gdumb"])
    assert any("none may be kept" in reason for reason in found.unfit["replay"])
    assert any("bound" in reason for reason in found.unfit["naive"])
    assert any("task" in reason for reason in found.unfit["packnet"])


def test_the_file_s_own_strategies_say_how_much_may_be_kept() -> None:
    assert recommend(pipeline(strategy="[{name: replay, capacity: 300}]")).situation.memory == 300
    assert recommend(pipeline()).situation.memory is None
    assert recommend(pipeline(strategy="[{name: replay, capacity: 300}]"), 50).situation.memory == 50
    found = recommend(pipeline(strategy="[{name: ewc}]"))
    assert found.current == ["ewc"] and found.warnings


def test_settings_of_its_own_strategies_for_one_experience_do_not_matter() -> None:
    train = ", per_experience: {1: {strategy: {ewc: {lambda: 3}}, epochs: 2}}"
    made = pipeline(strategy="[{name: ewc, lambda: 5}]", train=train)
    assert titles(recommend(made)) == titles(recommend(pipeline()))


def test_every_rule_is_met_somewhere() -> None:
    met = {
        (suggestion.title, suggestion.why)
        for setting, online, memory in SITUATIONS
        for suggestion in recommend(pipeline(setting, online), memory).suggestions
    } | {
        (suggestion.title, suggestion.why)
        for family, setting, memory in FAMILY_SITUATIONS
        for suggestion in recommend(pretrained(family, setting), memory, few=family == FEW_SHOT).suggestions
    }
    assert met == {(" + ".join(rule.names), rule.why) for rule in RULES}
