"""A record: its title, its direction, and values as JSON takes them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from strategies.metrics import Better, Evidence, Metric, Unit

ONE = Metric("mean_first", "fraction", "higher", "matrix", lambda e: e.row[0], "of the first", "R[k, 0]", "made up")
EVIDENCE = Evidence.of([[0.5, 0.0], [0.25, 0.75]])


def test_a_value_is_a_plain_number_or_none() -> None:
    assert type(ONE.value(EVIDENCE)) is float and ONE.value(EVIDENCE) == 0.25
    assert replace(ONE, function=lambda e: math.nan).value(EVIDENCE) is None
    assert replace(ONE, function=lambda e: np.float64("nan")).value(EVIDENCE) is None
    assert type(replace(ONE, function=lambda e: 7).value(EVIDENCE)) is int


@pytest.mark.parametrize(("better", "mode"), [("higher", "max"), ("lower", "min")])
def test_the_direction_is_a_field(better: Better, mode: str) -> None:
    assert replace(ONE, better=better).mode == mode


@pytest.mark.parametrize("unit", ["fraction", "signed fraction", "count", "bytes", "seconds"])
def test_what_is_shown_in_percent(unit: Unit) -> None:
    assert replace(ONE, unit=unit).is_fraction == unit.endswith("fraction")


def test_the_title_is_the_name_in_words() -> None:
    assert ONE.title == "mean first"
