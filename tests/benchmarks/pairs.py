"""Ratios of pieces of work, measured in turn so that a machine's drift falls on all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """Seconds of two pieces of work, as medians over rounds.

    Attributes:
        ours, reference: medians, in seconds.
        ratio: median over the rounds of ours / reference.
        low, high: smallest and largest ratio of a round.
        spread: half the width of the median's 95 % interval over the rounds, as a share of the median.
    """

    ours: float
    reference: float
    ratio: float
    low: float
    high: float
    spread: float


def compare(ours: Work, reference: Work, rounds: int = 9) -> Ratio:
    """Run both in turn, after one round of each that does not count; CPU time of this process."""
    return settle([ours, reference], least=rounds, most=rounds)[0]


def cpu_seconds(work: Work) -> float:
    """CPU time that the process spends on it."""
    start = time.process_time()
    work()
    return time.process_time() - start


def settle(
    works: Sequence[Work],
    *,
    clock: Callable[[Work], float] = cpu_seconds,
    spread: float = 0.03,
    least: int = 11,
    most: int = 101,
) -> list[Ratio]:
    """The first piece of work against each of the others: rounds of all, until their medians are certain enough.

    Args:
        works: each runs once before the first round; every other round runs them in the opposite order.
        clock: runs a piece of work, and says how many seconds it took.
        spread: stop when every ratio's `Ratio.spread` is below it.
        least, most: number of rounds.
    """
    for work in works:
        work()
    rounds: list[list[float]] = []
    while True:
        backward = len(rounds) % 2 == 1
        seconds = [clock(work) for work in (reversed(works) if backward else works)]
        rounds.append(seconds[::-1] if backward else seconds)
        if len(rounds) < least:
            continue
        found = [_ratio(rounds, place) for place in range(1, len(works))]
        if len(rounds) >= most or max(ratio.spread for ratio in found) < spread:
            return found


def _ratio(rounds: Sequence[Sequence[float]], place: int) -> Ratio:
    ratios = sorted(seconds[0] / seconds[place] for seconds in rounds)
    middle, n = statistics.median(ratios), len(ratios)
    # The median of all lies between these two order statistics with a probability of 95 % (Conover 1999, section 3.2).
    off = 0.98 * math.sqrt(n)
    low, high = ratios[max(0, math.floor(n / 2 - off))], ratios[min(n - 1, math.ceil(n / 2 + off))]
    return Ratio(
        statistics.median(seconds[0] for seconds in rounds),
        statistics.median(seconds[place] for seconds in rounds),
        middle,
        ratios[0],
        ratios[-1],
        (high - low) / 2 / middle,
    )
