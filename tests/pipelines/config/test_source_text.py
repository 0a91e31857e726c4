from __future__ import annotations

import inspect

import pytest

from pipelines.config.components import BUILT_IN, Kind, names, resolve, strategy_family
from pipelines.config.source_text import declared_text, first_line

ALL = [(kind, name) for kind, known in BUILT_IN.items() for name in known]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_the_source_says_what_the_component_says(kind: Kind, name: str) -> None:
    component = resolve(kind, name)
    told = getattr(component, "summary", None) or (inspect.getdoc(component) or "").partition("\n")[0]
    assert told and {row.name: row.summary for row in names(kind)}[name] == told


@pytest.mark.parametrize("name", BUILT_IN["strategies"])
def test_a_family_is_found_where_a_base_class_declares_it(name: str) -> None:
    assert strategy_family(name) == resolve("strategies", name).family != ""


def test_what_is_not_there_is_empty() -> None:
    assert declared_text("strategies.methods.ewc:EWC", "no_such_thing") == ""
    assert declared_text("strategies.methods.ewc:NoSuchClass", "summary") == ""
    assert first_line("strategies.methods.ewc:NoSuchClass") == first_line("torch.nn:Linear") == ""
    assert first_line("strategies.methods.no_such_module:EWC") == ""
