"""What a search wants: metrics of a chain of commits, their means over seeds, and which trial is better."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.lineage.chain_metrics import Metrics
from orchestrator.lineage.chain_metrics import chain_metrics as metrics_along
from strategies.metrics import metric_names

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit


def chain_metrics(
    chain: Sequence[Commit], tests: Sequence[str], reference: Callable[[Sequence[Commit]], Sequence[float | None]]
) -> Metrics:
    """All metrics after the last commit of a chain.

    Args:
        chain: commits from experience 0, oldest first.
        tests: fingerprints of the stream's test sets.
        reference: what joint training reaches (see `orchestrator.lineage.joint_reference`).
    """
    return metrics_along(chain, tests, reference(chain))[-1]


def mean(values: Sequence[Mapping[str, float | None]]) -> Metrics:
    """Mean of each metric over seeds; None where it is not defined."""
    return {name: statistics.fmean(v) if (v := _known(values, name)) else None for name in _names(values)}


def deviation(values: Sequence[Mapping[str, float | None]]) -> Metrics:
    """Sample standard deviation of each metric over seeds; None for fewer than two."""
    return {name: statistics.stdev(v) if len(v := _known(values, name)) > 1 else None for name in _names(values)}


def _names(values: Sequence[Mapping[str, float | None]]) -> list[str]:
    return [*dict.fromkeys(name for one in values for name in one)] or [*metric_names()]


def _known(values: Sequence[Mapping[str, float | None]], name: str) -> list[float]:
    return [value for one in values if (value := one.get(name)) is not None]


def score(metrics: Mapping[str, float | None], name: str, mode: str) -> float:
    """A metric turned so that more is better; minus infinity where it is not known."""
    value = metrics.get(name)
    if value is None or not math.isfinite(value):
        return -math.inf
    return value if mode == "max" else -value


def best(candidates: Mapping[int, Mapping[str, float | None]], name: str, mode: str) -> int | None:
    """The number of the trial that is best in one metric, the first of equals; None without candidates."""
    known = {number: score(metrics, name, mode) for number, metrics in candidates.items()}
    known = {number: value for number, value in known.items() if value > -math.inf}
    return min(known, key=lambda number: (-known[number], number), default=None)


def pareto_front(
    candidates: Mapping[int, Mapping[str, float | None]], names: Sequence[str], modes: Sequence[str]
) -> list[int]:
    """Numbers of the trials that no other one beats in one metric without losing in another, ascending.

    Of trials that are equal in all metrics the first stands for all.
    """
    points = [
        (tuple(score(metrics, name, mode) for name, mode in zip(names, modes, strict=True)), number)
        for number, metrics in candidates.items()
    ]
    # What beats a point comes before it, and so does the first of equals.
    ordered = sorted(
        (item for item in points if min(item[0]) > -math.inf), key=lambda item: (_negative(item[0]), item[1])
    )
    front: list[tuple[tuple[float, ...], int]] = []
    for point, number in ordered:
        # With two objectives the last one of the front is the best so far in the second.
        rivals = front[-1:] if len(names) == 2 else front
        if not any(_covers(other, point) for other, _ in rivals):
            front.append((point, number))
    return sorted(number for _, number in front)


def _negative(point: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(-value for value in point)


def _covers(other: tuple[float, ...], point: tuple[float, ...]) -> bool:
    return all(a >= b for a, b in zip(other, point, strict=True))
