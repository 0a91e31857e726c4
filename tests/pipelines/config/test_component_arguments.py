"""Options as keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.component_arguments import arguments
from pipelines.config.component_options import signature_model
from pipelines.config.pipeline_errors import PipelineError


def component(size: int, names: Sequence[str] = ("a",), *, rate: float | None = None, schema: bool = False) -> Any:
    """Something that takes options."""


def anything(size: int = 1, **more: Any) -> Any:
    """Something that takes any options."""


@given(st.fixed_dictionaries({"size": st.integers(-9, 9)}, optional={"schema": st.booleans(), "rate": st.none()}))
def test_options_come_back_with_the_defaults(options: dict[str, Any]) -> None:
    found = arguments(signature_model(component), options, "here")
    assert found == {"names": ("a",), "rate": None, "schema": False} | options
    inspect.signature(component).bind(**found)


def test_a_component_may_take_anything() -> None:
    assert arguments(signature_model(anything), {"size": 2, "other": [1]}, "here") == {"size": 2, "other": [1]}


def test_all_problems_are_reported_at_once_with_their_place() -> None:
    with pytest.raises(PipelineError) as caught:
        arguments(signature_model(component), {"nmaes": ["b"], "rate": "fast"}, "stream.dataset")
    assert sorted(caught.value.problems) == [
        "stream.dataset.nmaes: unknown key, did you mean 'names'?",
        "stream.dataset.rate: must be a number, got 'fast'",
        "stream.dataset.size: is required",
    ]
