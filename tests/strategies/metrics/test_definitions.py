"""Metrics on matrices whose values are worked out by hand, and against loops over the papers' formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from strategies.metrics import (
    as_matrix,
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
    forward_transfer,
    intransigence,
    learning_accuracy,
    metric_names,
    summary,
)

R = [
    [0.9, 0.3, 0.1],
    [0.6, 0.8, 0.2],
    [0.7, 0.4, 1.0],
]
B = [0.2, 0.1, 0.15]


def test_by_hand() -> None:
    assert average_accuracy(R, 2) == pytest.approx((0.7 + 0.4 + 1.0) / 3)
    # Both old experiences: 0.7 - 0.9 and 0.4 - 0.8.
    assert backward_transfer(R, 2) == pytest.approx((-0.2 - 0.4) / 2)
    # What was known before learning: 0.3 - 0.1 and 0.2 - 0.15.
    assert forward_transfer(R, B, 2) == pytest.approx((0.2 + 0.05) / 2)
    # Best before the last: 0.9 of (0.9, 0.6), and 0.8.
    assert forgetting(R, 2) == pytest.approx((0.2 + 0.4) / 2)
    assert learning_accuracy(R, 2) == pytest.approx((0.9 + 0.8 + 1.0) / 3)
    assert average_incremental_accuracy(R, 2) == pytest.approx((0.9 + (0.6 + 0.8) / 2 + 0.7) / 3)


def test_after_an_earlier_experience_later_rows_do_not_count() -> None:
    assert average_accuracy(R, 1) == pytest.approx(0.7)
    assert backward_transfer(R, 1) == pytest.approx(-0.3)
    assert forward_transfer(R, B, 1) == pytest.approx(0.2)
    assert forgetting(R, 1) == pytest.approx(0.3)
    assert learning_accuracy(R, 1) == pytest.approx(0.85)
    assert average_incremental_accuracy(R, 1) == pytest.approx(0.8)
    unknown = as_matrix([[0.9, 0.3, None], [0.6, 0.8, None], [None, None, None]])
    assert summary(unknown, B, 1) == pytest.approx(summary(R, B, 1))


def test_the_worst_is_that_of_the_experiences_seen_by_hand() -> None:
    # What is still to come does not count, nor what was worse before.
    assert [summary(R, B, k)["worst_accuracy"] for k in range(3)] == [0.9, 0.6, 0.4]
    assert summary([[0.5, 0.0], [0.7, 0.8]], B, 1)["worst_accuracy"] == 0.7
    assert summary(as_matrix([[0.5, None], [None, 0.8]]), B, 1)["worst_accuracy"] is None


def test_well_known_mistakes_are_not_made() -> None:
    recovers = [[0.5, 0.0, 0.0], [0.9, 0.5, 0.0], [0.7, 0.6, 0.5]]
    # Forgetting is measured from the best, not from the first, and the last row is not among the best: it can be < 0.
    assert forgetting(recovers, 2) == pytest.approx((0.9 - 0.7 + 0.5 - 0.6) / 2)
    improves = [[0.5, 0.0], [0.8, 0.5]]
    assert forgetting(improves, 1) == pytest.approx(-0.3)
    assert backward_transfer(improves, 1) == pytest.approx(0.3)
    # What an experience scored before it was learned does not count as a best to be forgotten.
    lucky = [[0.5, 0.9, 0.0], [0.5, 0.4, 0.0], [0.5, 0.3, 0.5]]
    assert forgetting(lucky, 2) == pytest.approx((0.0 + 0.1) / 2)


def test_fine_tuning_of_five_experiences_as_published() -> None:
    perfect_then_nothing = np.eye(5)
    assert average_incremental_accuracy(perfect_then_nothing, 4) == pytest.approx(0.4567, abs=1e-4)
    assert average_accuracy(perfect_then_nothing, 4) == pytest.approx(0.2)
    assert forgetting(perfect_then_nothing, 4) == 1.0


def test_one_experience_has_no_transfer() -> None:
    values = summary([[0.9]], [0.1])
    for name in ("backward_transfer", "forward_transfer", "forgetting"):
        assert values[name] is None
    for name in ("average_accuracy", "learning_accuracy", "average_incremental_accuracy", "worst_accuracy"):
        assert values[name] == 0.9
    assert math.isnan(forgetting([[0.9]], 0))


def test_what_was_not_evaluated_makes_no_number() -> None:
    gaps = as_matrix([[0.9, None], [0.6, 0.8]])
    values = summary(gaps, [math.nan, 0.1])
    assert values["forward_transfer"] is None
    assert values["backward_transfer"] == pytest.approx(-0.3)
    assert tuple(values) == metric_names("matrix")


def matrices(size: int) -> st.SearchStrategy[NDArray[np.float64]]:
    return arrays(np.float64, (size + 1, size), elements=st.floats(0, 1))


@given(st.integers(1, 6).flatmap(matrices), st.data())
def test_against_the_formulas(drawn: NDArray[np.float64], data: st.DataObject) -> None:
    matrix, b = drawn[:-1], drawn[-1]
    k = data.draw(st.integers(0, len(matrix) - 1))
    expected = _formulas(matrix.tolist(), b.tolist(), k + 1)
    found = summary(matrix, b, k)
    assert tuple(found) == metric_names("matrix") and found.keys() >= expected.keys()
    for name, value in expected.items():
        assert found[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name
    if k == len(matrix) - 1:
        assert summary(matrix, b) == found


def _formulas(r: list[list[float]], b: list[float], tasks: int) -> dict[str, float | None]:
    """The papers' sums, with their indices from 1 to the number of tasks learned."""

    def at(i: int, j: int) -> float:
        return r[i - 1][j - 1]

    def accuracy(k: int) -> float:
        total = 0.0
        for j in range(1, k + 1):
            total += at(k, j)
        return total / k

    backward = forward = forgotten = learned = incremental = 0.0
    for j in range(1, tasks):
        backward += at(tasks, j) - at(j, j)
        best = -math.inf
        for row in range(j, tasks):
            best = max(best, at(row, j))
        forgotten += best - at(tasks, j)
    for j in range(2, tasks + 1):
        forward += at(j - 1, j) - b[j - 1]
    for k in range(1, tasks + 1):
        learned += at(k, k)
        incremental += accuracy(k)
    return {
        "average_accuracy": accuracy(tasks),
        "backward_transfer": backward / (tasks - 1) if tasks > 1 else None,
        "forward_transfer": forward / (tasks - 1) if tasks > 1 else None,
        "forgetting": forgotten / (tasks - 1) if tasks > 1 else None,
        "learning_accuracy": learned / tasks,
        "average_incremental_accuracy": incremental / tasks,
        "worst_accuracy": min(at(tasks, j) for j in range(1, tasks + 1)),
    }


def test_what_is_not_learned_any_more_by_hand() -> None:
    # Joint training reached 0.95, 0.9 and 0.9 where this one reached 0.9, 0.8 and 1.0 when it was new.
    assert intransigence(R, [0.95, 0.9, 0.9], 2) == pytest.approx((0.05 + 0.1 - 0.1) / 3)
    assert intransigence(R, [0.95, 0.9, 0.9], 0) == pytest.approx(0.05)
    assert math.isnan(intransigence(R, [0.95, math.nan, 0.9], 2))
    assert intransigence(R, [0.9, 0.8, 1.0], 2) == 0.0
