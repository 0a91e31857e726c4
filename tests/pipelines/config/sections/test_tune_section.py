from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.config.sections.tune_section import TuneSpec, domain
from strategies.metrics import all_metrics

SPACE = {"space": {"seed": {"grid": [1]}}}


def test_every_metric_may_be_searched_and_its_direction_is_that_of_its_record() -> None:
    for metric in all_metrics():
        spec = TuneSpec.model_validate({"metric": metric.name, **SPACE})
        assert (spec.metrics, spec.modes) == ((metric.name,), ("max" if metric.better == "higher" else "min",))
    every = [metric.name for metric in all_metrics()]
    assert TuneSpec.model_validate({"metric": every, **SPACE}).modes == tuple(metric.mode for metric in all_metrics())
    assert TuneSpec.model_validate({"metric": "forgetting", "mode": "max", **SPACE}).modes == ("max",)


def test_directions_that_have_to_stay() -> None:
    more = ["average_accuracy", "backward_transfer", "forward_transfer", "learning_accuracy"]
    more += ["average_incremental_accuracy"]
    less = ["forgetting", "intransigence", "negative_flips", "expected_calibration_error"]
    less += ["model_parameters", "model_bytes", "memory_bytes", "training_seconds"]
    spec = TuneSpec.model_validate({"metric": [*more, *less], **SPACE})
    assert spec.modes == (*["max"] * len(more), *["min"] * len(less))


@pytest.mark.parametrize(
    ("value", "probes"),
    [
        ({"uniform": [0, 1]}, [0, 1, 0.381966011250105]),
        ({"loguniform": ["1e-3", 1]}, [0.001, 1, pytest.approx(0.3825840452388549)]),
        ({"quniform": [10, 100, 10]}, [10, 100, 20]),
        ({"randint": [1, 5]}, [1, 4]),
        ({"choice": ["a", [1]]}, ["a", [1]]),
        ({"grid": [1, 2]}, [1, 2]),
    ],
)
def test_domains_and_the_values_that_stand_for_them(value: object, probes: list[object]) -> None:
    assert [probe for _, probe in domain(value).probes()] == probes


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "must be one of uniform"),
        ({}, "must be one of uniform"),
        ({"uniform": [0, 1], "grid": [1]}, "must be one of uniform"),
        ({"unifrom": [0, 1]}, "did you mean 'uniform'"),
        ({"uniform": [1, 0]}, "lower bound below"),
        ({"uniform": [0]}, "form .low, high."),
        ({"uniform": 3}, "form .low, high."),
        ({"uniform": [0, "x"]}, "form .low, high."),
        ({"uniform": [False, True]}, "form .low, high."),
        ({"uniform": [0, float("inf")]}, "form .low, high."),
        ({"loguniform": [0, 1]}, "bounds above 0"),
        ({"quniform": [0, 1]}, "low, high, step"),
        ({"quniform": [0, 1, 0]}, "a step above 0"),
        ({"quniform": [0, 1, 2]}, "a step above 0"),
        ({"randint": [0, 1.5]}, "whole numbers"),
        ({"choice": []}, "at least one value"),
        ({"grid": 3}, "at least one value"),
    ],
)
def test_what_is_no_domain(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        domain(value)


def test_a_grid_search_needs_lists() -> None:
    with pytest.raises(ValidationError, match="must list its values"):
        TuneSpec(search="grid", space={"seed": domain({"uniform": [0, 1]})})
    TuneSpec(search="grid", space={"seed": domain({"grid": [0, 1]})})


@pytest.mark.parametrize(
    "fields", [{"metric": "accuracy"}, {"trials": 0}, {"validation": 1.0}, {"time_budget": 0}, {"space": {}}]
)
def test_impossible_searches(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TuneSpec.model_validate({"space": {"seed": {"grid": [1]}}, **fields})


def test_a_search_is_written_as_it_was_read() -> None:
    space = {"seed": {"uniform": [0, 1]}, "model": {"choice": ["mlp"]}}
    assert TuneSpec.model_validate({"space": space}).model_dump(mode="json")["space"] == space
