"""Batches: parts of a global sum that do not depend on how the batch is divided."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.api.data import Batch
from strategies.loop.process_group import Group


def batch(n: int, *, weighted: bool = False) -> Batch:
    weights = torch.linspace(1, 2, n) if weighted else None
    return Batch(
        inputs=torch.arange(n).float()[:, None],
        targets=torch.arange(n),
        experiences=torch.zeros(n, dtype=torch.int64),
        weights=weights,
        total_weight=float(n if weights is None else weights.sum()),
        current=n,
        total_samples=n,
        extra={"logits": torch.arange(n).float()},
    )


def part(whole: Batch, where: slice) -> Batch:
    """One rank's share of a global batch."""
    return Batch(
        inputs=whole.inputs[where],
        targets=whole.targets[where],
        experiences=whole.experiences[where],
        weights=None if whole.weights is None else whole.weights[where],
        total_weight=whole.total_weight,
        current=len(whole.targets[where]),
        total_samples=whole.total_samples,
        extra={name: value[where] for name, value in whole.extra.items()},
    )


def test_the_mean_is_weighted() -> None:
    values = torch.tensor([3.0, 6.0, 9.0])
    assert float(batch(3).mean(values)) == 6.0
    expected = (3 * 1 + 6 * 1.5 + 9 * 2) / 4.5
    torch.testing.assert_close(float(batch(3, weighted=True).mean(values)), expected)


@given(st.integers(1, 20), st.booleans(), st.integers(1, 5), st.integers(1, 6))
def test_means_of_ranks_and_parts_add_up(n: int, weighted: bool, ranks: int, parts: int) -> None:
    whole = batch(n, weighted=weighted)
    values = whole.inputs[:, 0].square()
    shares = [part(whole, Group(rank, ranks).share(n)) for rank in range(ranks)]
    pieces = [piece for share in shares for piece in share.split(parts)]
    total = sum(piece.mean(piece.inputs[:, 0].square()) for piece in pieces)
    torch.testing.assert_close(total, whole.mean(values))
    assert torch.equal(torch.cat([piece.targets for piece in pieces]), whole.targets)
    assert torch.equal(torch.cat([piece.extra["logits"] for piece in pieces]), whole.extra["logits"])
    assert all(piece.total_samples == n and piece.current == len(piece) for piece in pieces)


def test_joined_samples_come_behind_and_count_globally() -> None:
    own = batch(3)
    joined = own.joined(
        torch.tensor([[8.0], [9.0]]),
        torch.tensor([8, 9]),
        torch.tensor([5, 5]),
        added=4,
        weights=torch.tensor([1.0, 1.0, 1.0, 0.5, 0.5]),
        total_weight=5.0,
        extra={"more": torch.ones(5)},
    )
    assert (len(joined), joined.current, joined.total_samples, joined.total_weight) == (5, 3, 7, 5.0)
    assert joined.inputs[:, 0].tolist() == [0, 1, 2, 8, 9]
    assert joined.targets.tolist() == [0, 1, 2, 8, 9]
    assert joined.experiences.tolist() == [0, 0, 0, 5, 5]
    assert joined.extra.keys() == {"logits", "more"}
    assert joined.extra["logits"].tolist() == [0, 1, 2, 0, 0]
    assert len(own) == 3
    assert [piece.current for piece in joined.split(2)] == [2, 1]
