"""Does a chunk of data differ from the chunks before it? By its effect size against the stream's own history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.drift.two_sample import Array, Comparison

RESAMPLES = 40
"""How often the history is resampled to learn how large effects are without drift."""


@dataclass(frozen=True)
class Verdict:
    """What was decided about a chunk.

    Attributes:
        effect: of the chunk against its history.
        usual: effects up to this one are usual in the history: its resamples' and its own chunks'.
        p_value: of the test.
        drift: whether the effect is unusual and large enough, and the p-value small enough.
    """

    effect: float
    usual: float
    p_value: float
    drift: bool


def judge(
    history: Sequence[Array],
    chunk: Array,
    compare: Callable[[Array, Array, int], Comparison],
    *,
    least_effect: float,
    alpha: float = 0.01,
    seed: int = 0,
) -> Verdict:
    """Compare a chunk with the chunks before it.

    It is drift when three things hold: the effect is at least `least_effect`, it is above what is usual in the
    history, and the p-value is below `alpha`. So a difference that is significant but small is no drift, and the rate
    of false alarms is at most `alpha`. What is usual: the effects of bootstrap samples of the history, as large as the
    chunk, and of each past chunk against the others.

    Args:
        history: past chunks, each (n, d); at least one.
        chunk: (m, d).
        compare: a test (`two_sample.TESTS`).
        seed: of the resamples and of tests that draw at random.
    """
    random = np.random.Generator(np.random.Philox(seed))
    pooled = np.concatenate(list(history))
    found = compare(pooled, chunk, seed)
    if found.p_value >= alpha or found.effect < least_effect:
        # Decided: what is usual in the history need not be known.
        return Verdict(found.effect, least_effect, found.p_value, drift=False)
    usual = [least_effect]
    for resample in range(RESAMPLES):
        drawn = pooled[random.integers(len(pooled), size=len(chunk))]
        usual.append(compare(pooled, drawn, seed + resample + 1).effect)
    for index, past in enumerate(history) if len(history) > 1 else ():
        others = np.concatenate([other for i, other in enumerate(history) if i != index])
        usual.append(compare(others, past, seed).effect)
    highest = max(usual)
    return Verdict(found.effect, highest, found.p_value, found.effect > highest)
