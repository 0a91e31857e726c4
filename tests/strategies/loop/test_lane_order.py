"""The law of the order in lanes, as data: any number of readers takes the same global batches in the same order.

Covers: `strategies/loop/lane_rows.py` `strategies/loop/lanes.py` `strategies/loop/order_of_samples.py`
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies.api.strategy_errors import StrategyError
from strategies.loop.lane_order import LaneOrder, blocks_in_memory
from strategies.loop.lane_rows import rows_taken, rows_taken_at
from strategies.loop.lanes import EpochLanes
from strategies.loop.order_of_samples import sample_order
from strategies.loop.process_group import Group
from strategies.loop.sampling import SampleOrder
from strategies.loop.train_settings import TrainSettings

READERS = (1, 2, 3, 4, 8)
blocks = st.lists(st.one_of(st.integers(1, 5), st.integers(1, 40)), min_size=1, max_size=30)


@st.composite
def orders(draw: st.DrawFn, fewest: int = 1) -> LaneOrder:
    sizes = np.array(draw(blocks))
    n = int(sizes.sum())
    epochs = draw(st.one_of(st.none(), st.integers(1, 3)))
    steps = draw(st.integers(1, 12)) if epochs is None else None
    rule = draw(st.sampled_from(["keep", "drop", "merge"]))
    size, seed = draw(st.integers(1, n + 3)), draw(st.integers(0, 5))
    lanes, window = draw(st.integers(fewest, 12)), draw(st.integers(1, 5))
    return LaneOrder(n, size, epochs, steps, seed, 1, rule, sizes=sizes, lanes=lanes, window=window)


def shared(order: LaneOrder, readers: int, start: int = 0) -> list[list[torch.Tensor]]:
    """Of each step from `start` on, the share of each reader, which knows nothing of the others."""
    # An order of its own for each reader: nothing is shared.
    own = [replace(order).shares(Group(rank, readers), start) for rank in range(readers)]
    return [list(shares) for shares in zip(*own, strict=True)]


@given(orders(fewest=8), st.data())
def test_any_number_of_readers_takes_the_same_batches_in_the_same_order(order: LaneOrder, data: st.DataObject) -> None:
    whole = [order.batch(step) for step in range(len(order))]
    for readers in READERS:
        assert all(torch.equal(torch.cat(s), b) for s, b in zip(shared(order, readers), whole, strict=True))
    # Readers join and leave in mid-epoch: each group resumes from its step alone.
    at = 0
    while at < len(order):
        stop = data.draw(st.integers(at + 1, len(order)))
        readers = data.draw(st.sampled_from(READERS))
        for step, shares in enumerate(shared(order, readers, at)[: stop - at], at):
            assert torch.equal(torch.cat(shares), whole[step])
        at = stop


@given(orders())
def test_an_epoch_has_every_sample_once_in_batches_of_the_right_size(order: LaneOrder) -> None:
    # What an order of one permutation does with sizes, epochs and last batches, lanes do too.
    plain = SampleOrder(
        order.n, order.batch_size, order.epochs, order.steps, order.seed, order.experience, order.last_batch
    )
    assert len(order) == len(plain)
    taken = [order.batch(step) for step in range(len(order))]
    assert [len(batch) for batch in taken] == [plain.size(step) for step in range(len(plain))]
    dropped = order.last_batch == "drop" and order.n > order.batch_size and order.epochs is not None
    epoch = order.n - (order.n % order.batch_size if dropped else 0)
    if order.epochs is not None:
        everything = torch.cat(taken)
        for start in range(0, order.epochs * epoch, epoch):
            rows = everything[start : start + epoch].tolist()
            assert len(set(rows)) == len(rows) and set(rows) <= set(range(order.n))
            assert dropped or sorted(rows) == list(range(order.n))
    else:
        counts = np.bincount(torch.cat(taken).numpy(), minlength=order.n)
        assert counts.max() - counts.min() <= 1 and counts.sum() == order.batch_size * len(order)


@given(orders(fewest=8), st.sampled_from(READERS))
def test_a_block_is_read_by_one_reader(order: LaneOrder, readers: int) -> None:
    block_of = np.repeat(np.arange(len(order.sizes)), order.sizes)
    owners: dict[tuple[int, int], set[int]] = {}
    for step, shares in enumerate(shared(order, readers)):
        epochs = {epoch for epoch, _, _ in order.spans(step)}
        if len(epochs) > 1:
            continue
        for rank, rows in enumerate(shares):
            for block in set(block_of[rows.numpy()].tolist()):
                owners.setdefault((*epochs, block), set()).add(rank)
    assert all(len(ranks) == 1 for ranks in owners.values())


@given(orders(fewest=8), st.sampled_from(READERS), st.data())
def test_a_share_says_where_the_reader_stands_in_the_batch(order: LaneOrder, readers: int, data: st.DataObject) -> None:
    step = data.draw(st.integers(0, len(order) - 1))
    batch = order.batch(step)
    for rank, rows in enumerate(shared(order, readers, step)[0]):
        assert torch.equal(batch[order.share(Group(rank, readers), step)], rows)


@given(orders(), st.data())
def test_where_rows_lie_in_batches_is_known_for_many_batches_at_once(order: LaneOrder, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(order) - 1))
    stop = data.draw(st.integers(first + 1, len(order)))
    lane = data.draw(st.integers(0, order.lanes - 1))
    lanes = range(lane, data.draw(st.integers(lane + 1, order.lanes)))
    found = order.batch_places(first, stop, lanes)
    place, edges, rows = 0, [0], set()
    for step in range(first, stop):
        for piece in order.pieces(step, lanes):
            for row in range(piece.start, piece.stop):
                begin, places = found.of(piece.epoch, piece.lane - lanes.start, row, row + 1)
                assert begin == row and places.tolist() == [place]
                rows.add((piece.epoch, piece.lane, row))
                place += 1
        edges.append(place)
    assert found.edges.tolist() == edges and len(rows) == place
    for epoch in {epoch for epoch, _, _ in rows}:
        size = order.epoch(epoch).rows[lane]
        begin, places = found.of(epoch, 0, 0, size)
        assert [(epoch, lane, begin + row) in rows for row in range(len(places))] == [True] * len(places)
        assert len(places) == sum((epoch, lane, row) in rows for row in range(size))


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=12).filter(any), st.data())
def test_rows_of_lanes_are_the_same_for_many_shares_at_once(rows: list[int], data: st.DataObject) -> None:
    taken = data.draw(st.lists(st.integers(0, sum(rows)), max_size=4))
    expected = [rows_taken(rows, one) for one in taken]
    assert rows_taken_at(rows, np.array(taken, dtype=np.int64)).tolist() == expected


@given(orders())
def test_a_batch_needs_few_blocks_at_once(order: LaneOrder) -> None:
    """What bounds the memory: of an epoch, each lane has one window open at a time."""
    lanes = order.epoch(0)
    for lane in range(order.lanes):
        starts = lanes.window_starts(lane)
        windows = [lanes.window(lane, number) for number in range(len(starts) - 1)]
        assert all(1 <= len(window.blocks) <= order.window for window in windows)
        assert [window.start for window in windows] + [lanes.rows[lane]] == (starts or [0])
        for window in windows:
            assert sorted(window.shuffled.tolist()) == list(range(window.stop - window.start))
    members = [block for lane in range(order.lanes) for block in _blocks(lanes, lane)]
    assert sorted(members) == list(range(len(order.sizes)))


def _blocks(lanes: EpochLanes, lane: int) -> list[int]:
    numbers = range(len(lanes.cuts(lane)) - 1)
    return [int(block) for number in numbers for block in lanes.window(lane, number).blocks]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=9))
def test_lanes_give_rows_in_proportion(rows: list[int]) -> None:
    due = sorted((Fraction(2 * j + 1, 2 * r), lane) for lane, r in enumerate(rows) for j in range(r))
    counts = [0] * len(rows)
    for taken in range(sum(rows) + 1):
        assert rows_taken(rows, taken) == counts
        if taken < len(due):
            counts[due[taken][1]] += 1


def test_proportions_of_a_billion_rows_are_exact() -> None:
    rows = [62_500_000 + lane * 7_919 for lane in range(16)]
    taken = 777_777_777
    counts = rows_taken(rows, taken)
    assert sum(counts) == taken
    assert max(abs(Fraction(count) - Fraction(r * taken, sum(rows))) for count, r in zip(counts, rows, strict=True)) < 1
    more = rows_taken(rows, taken + 1)
    assert sorted(b - a for a, b in zip(counts, more, strict=True)) == [0] * 15 + [1]


def test_seeds_experiences_and_epochs_have_orders_of_their_own() -> None:
    sizes = np.full(12, 5)

    def first(seed: int, experience: int, epoch: int) -> tuple[int, ...]:
        order = LaneOrder(60, 60, 2, None, seed, experience, sizes=sizes, lanes=3, window=2)
        return tuple(order.batch(epoch).tolist())

    assert len({first(0, 0, 0), first(1, 0, 0), first(0, 1, 0), first(0, 0, 1)}) == 4
    assert first(0, 0, 0) == first(0, 0, 0)


def test_the_order_of_a_version_is_that_of_the_next() -> None:
    """Commits depend on it: it must never change."""
    order = LaneOrder(17, 7, 1, None, 3, 2, sizes=np.array([3, 1, 5, 2, 4, 2]), lanes=3, window=2)
    assert [order.batch(step).tolist() for step in range(3)] == PINNED


PINNED = [[2, 0, 11, 14, 13, 12, 3], [1, 15, 8, 7, 6, 5, 10], [16, 4, 9]]


def test_more_readers_than_lanes_are_refused() -> None:
    order = LaneOrder(4, 2, 1, None, 0, 0, sizes=np.full(4, 1), lanes=2, window=1)
    with pytest.raises(StrategyError, match="2 lanes cannot be shared by 3 workers"):
        next(order.shares(Group(0, 3)))


def test_orders_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="the blocks have 3 rows, not 4"):
        LaneOrder(4, 2, 1, None, 0, 0, sizes=np.full(3, 1), lanes=2, window=1)
    with pytest.raises(ValueError, match="at least one lane"):
        LaneOrder(3, 2, 1, None, 0, 0, sizes=np.full(3, 1), lanes=0, window=1)
    with pytest.raises(ValueError, match="an epoch has 3 rows, not 4"):
        rows_taken([1, 2], 4)


@given(st.integers(1, 20_000), st.integers(1, 20), st.integers(1, 6))
def test_samples_in_memory_are_divided_into_blocks_for_all_lanes(n: int, lanes: int, window: int) -> None:
    sizes = blocks_in_memory(n, lanes, window)
    assert sizes.sum() == n and (sizes > 0).all() and sizes.max() <= 1024
    assert len(sizes) >= min(n, lanes) or sizes.max() == 1


def test_settings_choose_the_order() -> None:
    def of(lanes: int | None, **more: Any) -> SampleOrder:
        samples = cast(Any, type("Few", (SimpleNamespace,), {"__len__": lambda self: 6})(**more))
        return sample_order(samples, TrainSettings(batch_size=2, lanes=lanes, window=2), 0, 0)

    assert type(of(None)) is SampleOrder
    in_memory, blocks = of(2), of(2, block_sizes=np.array([1, 5]))
    assert isinstance(in_memory, LaneOrder) and isinstance(blocks, LaneOrder)
    assert (in_memory.sizes.tolist(), blocks.sizes.tolist()) == ([2, 2, 2], [1, 5])
