"""The past beside the present: what each sample of a joined batch counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from strategies.api.data import Batch
from strategies.memory.replay_weights import Weighting, joined_weights


def batch(weights: Tensor | None = None, total: float = 8.0) -> Batch:
    """4 of the 8 samples of a global batch."""
    zeros = torch.zeros(4, dtype=torch.int64)
    return Batch(torch.zeros(4, 2), zeros, zeros, weights, total, 4, 8)


def test_every_sample_counts_the_same() -> None:
    assert joined_weights(batch(), 2, 4, seen=3, weighting="samples") == (None, 12.0)
    weights, total = joined_weights(batch(torch.full((4,), 0.5), 4.0), 2, 4, seen=3, weighting="samples")
    assert total == 8.0
    assert weights is not None
    assert weights.tolist() == [0.5] * 4 + [1.0] * 2


@pytest.mark.parametrize("seen", [2, 5])
def test_experiences_count_the_same(seen: int) -> None:
    weights, total = joined_weights(batch(), 2, 4, seen=seen, weighting="experiences")
    assert weights is not None
    assert total == 1.0
    assert float(weights[:4].sum()) * 2 == pytest.approx(1 / seen), "over the two ranks"
    assert float(weights[4:].sum()) * 2 == pytest.approx(1 - 1 / seen)


@pytest.mark.parametrize("weighting", ["samples", "experiences"])
def test_what_was_weighted_stays_in_proportion(weighting: Weighting) -> None:
    before = torch.tensor([1.0, 2.0, 3.0, 0.0])
    weights, _ = joined_weights(batch(before, 12.0), 2, 4, seen=2, weighting=weighting)
    assert weights is not None
    torch.testing.assert_close(weights[:4] / weights[0], before)
