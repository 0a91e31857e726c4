"""The decision table of `everlearn recommend`: it names what there is, and every reason has a source."""

import importlib

import pytest

from strategies.api.selection_rules import CLASS, DOMAIN, RULES, TASK, Rule
from strategies.registry import BUILT_IN


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{'+'.join(rule.names)} {' '.join(rule.settings)}")
def test_a_rule_names_strategies_with_options_that_they_have(rule: Rule) -> None:
    assert rule.settings and set(rule.settings) <= {CLASS, TASK, DOMAIN}
    assert rule.why and rule.source
    for entry in rule.strategies:
        module, _, attribute = BUILT_IN[entry["name"]].partition(":")
        options = {name: value for name, value in entry.items() if name != "name"}
        getattr(importlib.import_module(module), attribute).Options(**options)


@pytest.mark.parametrize("setting", [CLASS, TASK, DOMAIN])
@pytest.mark.parametrize("online", [False, True])
def test_there_is_a_rule_for_each_situation_in_which_samples_may_be_kept(setting: str, online: bool) -> None:
    assert [rule for rule in RULES if setting in rule.settings and rule.online in (None, online)]


def test_the_names_are_those_of_the_strategies_in_their_order() -> None:
    rule = Rule([{"name": "ewc", "mode": "online"}, {"name": "replay"}], [TASK], "why", "source")
    assert rule.names == ("ewc", "replay")
