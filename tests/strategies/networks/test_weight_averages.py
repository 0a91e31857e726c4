"""Averages of weights against their definitions."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies.networks.weight_averages import ema, sums_of_task_vectors, ties, trimmed


def changes(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(5, 4, generator=generator) for _ in range(count)]


@given(count=st.integers(1, 4), seed=st.integers(0, 99))
def test_ties_is_the_mean_of_the_changes_that_agree_in_whatever_portions_they_come(count: int, seed: int) -> None:
    given_changes = [trimmed(change, 0.6) for change in changes(count, seed)]
    found = ties(sums_of_task_vectors(given_changes))
    for place, values in enumerate(torch.stack(given_changes).flatten(1).T.tolist()):
        sign = 1 if sum(values) >= 0 else -1
        agreeing = [value for value in values if value * sign > 0]
        expected = sum(agreeing) / max(1, len(agreeing))
        torch.testing.assert_close(found.flatten()[place], torch.tensor(expected))
    one_by_one = [sums_of_task_vectors([change]) for change in given_changes]
    added = {part: sum(sums[part] for sums in one_by_one) for part in one_by_one[0]}
    torch.testing.assert_close(ties(added), found)  # type: ignore[arg-type]


def test_the_largest_changes_are_kept() -> None:
    torch.testing.assert_close(
        trimmed(torch.tensor([[3.0, -4.0], [1.0, -2.0]]), 0.5), torch.tensor([[3.0, -4.0], [0, 0]])
    )


def test_the_moving_average_is_between_the_two() -> None:
    before, after = changes(2, 3)
    torch.testing.assert_close(ema(before, after, 0.25), 0.75 * before + 0.25 * after)
    torch.testing.assert_close(ema(before, after, 1.0), after)
