"""How many rows of each lane are among the first rows of an epoch: an exact proportion, in whole numbers."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BITS = 128


def rows_taken(rows: Sequence[int], taken: int) -> list[int]:
    """Rows of each lane among the first `taken` rows of an epoch.

    Row j of a lane with R rows is due at the share (j + 1/2) / R of the epoch, as in the method of Webster and
    Sainte-Lague; the first rows are those that are due first, and of two at once that of the lower lane. So the counts
    add up to `taken`, and none of them ever falls while `taken` grows.

    Args:
        rows: of each lane, in the whole epoch.
        taken: from 0 to the sum of `rows`.
    """
    total = sum(rows)
    if not 0 <= taken <= total:
        raise ValueError(f"an epoch has {total} rows, not {taken}")
    if total == 0:
        return [0 for _ in rows]
    # All rows that are due up to taken / total, then as many more or fewer as the rounding of the lanes left.
    counts = [(2 * r * taken + total) // (2 * total) for r in rows]
    more = taken - sum(counts)
    if more > 0:
        first = [(_due(counts[lane], r), lane) for lane, r in enumerate(rows) if counts[lane] < r]
        heapq.heapify(first)
        for _ in range(more):
            _, lane = heapq.heappop(first)
            counts[lane] += 1
            if counts[lane] < rows[lane]:
                heapq.heappush(first, (_due(counts[lane], rows[lane]), lane))
    elif more < 0:
        last = [(-_due(count - 1, rows[lane]), -lane) for lane, count in enumerate(counts) if count]
        heapq.heapify(last)
        for _ in range(-more):
            lane = -heapq.heappop(last)[1]
            counts[lane] -= 1
            if counts[lane]:
                heapq.heappush(last, (-_due(counts[lane] - 1, rows[lane]), -lane))
    return counts


def rows_taken_at(rows: Sequence[int], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """As `rows_taken`, for many numbers of first rows: (taken, lanes)."""
    total = sum(rows)
    if not total or 2 * max(rows) * total + total >= 2**63:
        return np.array([rows_taken(rows, one) for one in taken.tolist()], dtype=np.int64).reshape(-1, len(rows))
    counts = (2 * np.array(rows, dtype=np.int64) * taken[:, None] + total) // (2 * total)
    for line in np.flatnonzero(counts.sum(axis=1) != taken).tolist():
        counts[line] = rows_taken(rows, int(taken[line]))
    return counts


def _due(row: int, rows: int) -> int:
    """When a row is due, as a fixed-point number that tells any two different shares apart."""
    return ((2 * row + 1) << _BITS) // rows
