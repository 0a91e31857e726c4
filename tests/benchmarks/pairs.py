"""Ratios of two pieces of work, measured in turn so that a machine's drift falls on both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """CPU seconds of two pieces of work, as medians over rounds.

    Attributes:
        ours, reference: medians, in seconds.
        ratio: median over the rounds of ours / reference.
        low, high: smallest and largest ratio of a round.
    """

    ours: float
    reference: float
    ratio: float
    low: float
    high: float


def compare(ours: Callable[[], object], reference: Callable[[], object], rounds: int = 9) -> Ratio:
    """Run both in turn, after one round of each that does not count; CPU time of this process."""
    ours()
    reference()
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            b = _seconds(reference)
            a = _seconds(ours)
        else:
            a = _seconds(ours)
            b = _seconds(reference)
        pairs.append((a, b))
    ratios = [a / b for a, b in pairs]
    return Ratio(
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
