"""The records: complete, told apart, and true to what they say."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest

import strategies.metrics
from strategies.metrics import Better, Evidence, Metric, Scope, Unit, all_metrics, find_metric, metric_names

OLD = [
    "average_accuracy",
    "backward_transfer",
    "forward_transfer",
    "forgetting",
    "learning_accuracy",
    "average_incremental_accuracy",
    "intransigence",
    "negative_flips",
    "expected_calibration_error",
    "model_parameters",
    "model_bytes",
    "memory_bytes",
    "training_seconds",
]


def test_names_that_have_to_stay_in_their_order() -> None:
    assert [name for name in metric_names() if name in OLD] == OLD


def test_names_are_distinguished_and_hide_no_other_key_of_a_result() -> None:
    from orchestrator.result import RunResult

    assert len(set(metric_names())) == len(all_metrics())
    assert not set(metric_names()) & set(RunResult.__dataclass_fields__)
    assert all(name.isidentifier() and name == name.lower() for name in metric_names())


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.name)
def test_a_record_says_everything(metric: Metric) -> None:
    assert metric.unit in get_args(Unit) and metric.better in get_args(Better) and metric.scope in get_args(Scope)
    assert metric.definition and metric.source
    # With a value of 12 characters and the gaps between, a line of a table fits into 80 columns.
    assert 0 < len(metric.meaning) <= 36 and len(metric.title) <= 28
    assert find_metric(metric.name) is metric


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.name)
def test_what_is_not_known_is_none(metric: Metric) -> None:
    nothing = Evidence.of(np.full((3, 3), math.nan))
    assert metric.value(nothing) is None
    assert metric.value(Evidence.of([[math.nan]])) is None


def test_by_scope() -> None:
    scopes: tuple[Scope, ...] = get_args(Scope)
    assert {metric.name for scope in scopes for metric in all_metrics(scope)} == set(metric_names())
    assert all_metrics("cost", "answers") == tuple(m for m in all_metrics() if m.scope in ("cost", "answers"))
    assert find_metric("nonsense") is None


def test_the_names_of_the_package_load_on_first_use() -> None:
    assert dir(strategies.metrics) == sorted(strategies.metrics.__all__)
    for name in strategies.metrics.__all__:
        assert getattr(strategies.metrics, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        strategies.metrics.nonsense  # noqa: B018
    code = "import sys; from strategies.metrics import metric_names; metric_names(); print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
