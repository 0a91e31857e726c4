"""Which samples a batch consists of, and which rank takes which.

Covers: `strategies/loop/global_batch.py`
"""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.loop.process_group import Group
from strategies.loop.sampling import SampleOrder

sizes, batches, worlds = st.integers(1, 40), st.integers(1, 50), st.integers(1, 7)


def by_epochs(n: int, batch_size: int, epochs: int = 1, seed: int = 0, experience: int = 0) -> SampleOrder:
    return SampleOrder(n, batch_size, epochs, None, seed, experience)


def by_steps(n: int, batch_size: int, steps: int) -> SampleOrder:
    return SampleOrder(n, batch_size, None, steps, 0, 0)


@given(sizes, batches, st.integers(1, 3))
def test_an_epoch_takes_every_sample_once(n: int, batch_size: int, epochs: int) -> None:
    order = by_epochs(n, batch_size, epochs)
    steps = len(order) // epochs
    assert steps * epochs == len(order)
    for epoch in range(epochs):
        taken = [order.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
        assert sorted(torch.cat(taken).tolist()) == list(range(n))
        assert all(len(batch) == batch_size for batch in taken[:-1])
        assert 1 <= len(taken[-1]) <= batch_size


@given(sizes, batches, st.integers(0, 12))
def test_steps_continue_through_the_epochs_without_a_seam(n: int, batch_size: int, steps: int) -> None:
    order = by_steps(n, batch_size, steps)
    assert len(order) == steps
    taken = [order.batch(step) for step in range(steps)]
    assert all(len(batch) == batch_size for batch in taken)
    everything = torch.cat([*taken, torch.empty(0, dtype=torch.int64)]).tolist()
    for start in range(0, len(everything), n):
        assert max(Counter(everything[start : start + n]).values()) == 1


@given(sizes, batches, worlds, st.booleans())
def test_shares_are_disjoint_and_make_up_the_batch(n: int, batch_size: int, world: int, steps: bool) -> None:
    order = by_steps(n, batch_size, 5) if steps else by_epochs(n, batch_size, 2)
    ranks = [list(order.shares(Group(rank, world))) for rank in range(world)]
    assert {len(shares) for shares in ranks} == {len(order)}
    for step in range(len(order)):
        shares = [shares[step] for shares in ranks]
        assert torch.equal(torch.cat(shares), order.batch(step))
        assert order.size(step) == len(order.batch(step))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(sizes, batches, st.data())
def test_it_continues_anywhere(n: int, batch_size: int, data: st.DataObject) -> None:
    order = by_epochs(n, batch_size, 3)
    start = data.draw(st.integers(0, len(order)))
    whole, rest = list(order.shares(Group())), list(order.shares(Group(), start))
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], rest, strict=True))


def test_epochs_experiences_and_seeds_have_their_own_permutations() -> None:
    orders = [by_epochs(50, 50, 2), by_epochs(50, 50, 2, seed=1), by_epochs(50, 50, 2, experience=1)]
    permutations = {tuple(order.batch(step).tolist()) for order in orders for step in (0, 1)}
    assert len(permutations) == 6
    assert torch.equal(by_epochs(50, 50, 2).batch(1), orders[0].batch(1))


def test_steps_take_the_permutations_of_the_epochs() -> None:
    epochs, steps = by_epochs(40, 10, 3), by_steps(40, 10, 12)
    assert all(torch.equal(epochs.batch(step), steps.batch(step)) for step in range(12))


def test_impossible_orders_are_refused() -> None:
    with pytest.raises(ValueError, match="exactly one of epochs and steps"):
        SampleOrder(5, 2, 1, 1, 0, 0)
    with pytest.raises(ValueError, match="exactly one of epochs and steps"):
        SampleOrder(5, 2, None, None, 0, 0)
    with pytest.raises(ValueError, match="at least one training sample"):
        by_epochs(0, 2)


@given(sizes, batches, st.integers(1, 3), st.sampled_from(["keep", "drop", "merge"]))
def test_the_last_batch_of_an_epoch_is_kept_dropped_or_merged(n: int, size: int, epochs: int, rule: str) -> None:
    order = SampleOrder(n, size, epochs, None, 0, 0, rule)
    steps = len(order) // epochs
    assert order.smallest == min(order.size(step) for step in range(len(order)))
    for epoch in range(epochs):
        taken = [order.batch(step) for step in range(epoch * steps, (epoch + 1) * steps)]
        assert [len(batch) for batch in taken] == [order.size(step) for step in range(steps)]
        everything = torch.cat(taken).tolist()
        assert len(set(everything)) == len(everything) == (n - n % size if rule == "drop" and n >= size else n)
        assert all(len(batch) == size for batch in taken[:-1])
        if rule != "keep" and n >= size:
            assert len(taken[-1]) == (size if rule == "drop" else size + n % size)
