"""Whether a model still can what it could: paired tests against the model before the stream, on the same items.

`lost` is said of a model that is as good as before in at most `ALPHA` of cases, over all sets together, and `kept` of
one whose loss is the margin or more as seldom. Where neither is shown, the verdict is `undecided`, with the number of
items that would decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.gating.paired_tests import RESAMPLES, count_pairs, no_worse_p_value, worse_p_value

Verdict = Literal["kept", "lost", "undecided"]

ALPHA = 0.05
POWER = 0.8
# With so many items the distribution of a mean is normal, and drawing it again tells nothing.
_MANY = 2000
_AT_A_TIME = 400


@dataclass(frozen=True)
class CapabilityChange:
    """A model on a set of items, compared with the model before the stream.

    Attributes:
        items: how many.
        base, value: what both reach: the share of right answers, or the mean log-likelihood of a token.
        lost, won: items that the model before answered right and this one wrong, and the reverse; None for
            likelihoods.
        p_lost: how often a model that is no worse does as badly by chance.
        p_kept: how often a model that is worse by `margin` does as well by chance.
        margin: a smaller loss is none.
        spread: standard deviation of an item's part in the difference, in its unit.
    """

    items: int
    base: float
    value: float
    lost: int | None
    won: int | None
    p_lost: float
    p_kept: float
    margin: float
    spread: float


def compare_answers(base: NDArray[np.bool_], now: NDArray[np.bool_], margin: float) -> CapabilityChange:
    """By McNemar's exact test for a loss, and by Tango's score test for none (`pipelines.gating.paired_tests`).

    Args:
        base, now: (n,), whether each item is answered right, n > 0.
        margin: of the share of right answers.
    """
    pairs, n = count_pairs(base, now), len(base)
    return CapabilityChange(
        items=n,
        base=float(base.sum()) / n,
        value=float(now.sum()) / n,
        lost=pairs.lost,
        won=pairs.won,
        p_lost=worse_p_value(pairs),
        p_kept=no_worse_p_value(pairs, margin),
        margin=margin,
        spread=math.sqrt((pairs.lost + pairs.won + 0.5) / (n + 1)),
    )


def compare_likelihoods(base: NDArray[np.float64], now: NDArray[np.float64], margin: float) -> CapabilityChange:
    """By the paired bootstrap over documents (`likelihood_p_values`).

    Args:
        base, now: (n, 2), log-likelihood of each document and its tokens, n > 0; the tokens are the same.
        margin: of the mean log-likelihood of a token.
    """
    tokens = base[:, 1]
    before, after = (float(one[:, 0].sum() / tokens.sum()) for one in (base, now))
    parts = now[:, 0] - base[:, 0] - (after - before) * tokens
    return CapabilityChange(
        items=len(base),
        base=before,
        value=after,
        lost=None,
        won=None,
        p_lost=likelihood_p_values(base, now, 0.0)[0],
        p_kept=likelihood_p_values(base, now, margin)[1],
        margin=margin,
        spread=float(parts.std(ddof=1) / tokens.mean()) if len(base) > 1 else 0.0,
    )


def likelihood_p_values(
    base: NDArray[np.float64], now: NDArray[np.float64], margin: float, *, seed: int = 0
) -> tuple[float, float]:
    """How often a model that is worse by at most `margin` does as badly by chance, and one that is worse by `margin`
    or more as well.

    The mean difference is divided by its standard error, and the same is done for documents that are drawn with
    replacement, 2000 times. A mean that is further out than all of these has the p-value of Student's distribution, at
    most 1 in 2001, and so has every mean of more than 2000 documents.

    Source: Efron & Tibshirani 1993, section 16.4 (bootstrap-t for a test); paired for two models: Koehn 2004.

    Args:
        base, now: as `compare_likelihoods`.
    """
    from scipy.special import stdtr

    found = now[:, 0] - base[:, 0] + margin * base[:, 1]
    n = len(found)
    if n < 2:
        return 1.0, 1.0
    if not found.std():
        return (1.0, 1.0) if not found[0] else (float(found[0] > 0), float(found[0] < 0))
    statistic = _studentised(found[None])[0]
    below, above = float(stdtr(n - 1, statistic)), float(stdtr(n - 1, -statistic))
    if n > _MANY:
        return below, above
    random = np.random.Generator(np.random.Philox(seed))
    centred, drawn = found - found.mean(), []
    for _ in range(0, RESAMPLES, _AT_A_TIME):
        drawn.append(_studentised(centred[random.integers(0, n, (_AT_A_TIME, n))]))
    values = np.concatenate(drawn)
    lower, upper = int((values <= statistic).sum()), int((values >= statistic).sum())
    rarest = 1 / (RESAMPLES + 1)
    return (
        (1 + lower) * rarest if lower else min(rarest, below),
        (1 + upper) * rarest if upper else min(rarest, above),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several: at or below a level, at most that share of cases has any false one.

    Source: Holm 1979.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = highest
    return adjusted


def capability_verdicts(changes: Sequence[CapabilityChange], alpha: float = ALPHA) -> list[tuple[Verdict, int | None]]:
    """The verdict on each set, and of undecided ones about how many items would decide; else None.

    A loss that is certain and certainly smaller than the margin is none: `kept`.
    """
    lost, kept = holm([one.p_lost for one in changes]), holm([one.p_kept for one in changes])
    found: list[tuple[Verdict, int | None]] = []
    for change, worse, no_worse in zip(changes, lost, kept, strict=True):
        if no_worse <= alpha:
            found.append(("kept", None))
        elif worse <= alpha:
            found.append(("lost", None))
        else:
            found.append(("undecided", items_to_decide(change, alpha / len(changes))))
    return found


def items_to_decide(change: CapabilityChange, level: float = ALPHA, power: float = POWER) -> int | None:
    """About how many items would show a loss, or that there is none, if the models differ on further ones as on these;
    None: not known, as all items are alike.

    Source: Miettinen 1968 (sample sizes of paired comparisons), by the normal approximation.
    """
    from scipy.special import ndtri

    difference = min(0.0, change.value - change.base)
    distances = [one for one in (change.margin + difference, -difference) if one > 0]
    if not distances or not change.spread:
        return None
    distance = float(ndtri(1 - level) + ndtri(power)) * change.spread
    return max(change.items + 1, math.ceil(min((distance / one) ** 2 for one in distances)))


def _studentised(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of (m, n) samples by their standard errors, (m,)."""
    n, means, spread = samples.shape[1], samples.mean(1), samples.std(1, ddof=1)
    far = np.where(means == 0, 0.0, np.copysign(np.inf, means))
    return np.where(spread > 0, means / np.where(spread > 0, spread / math.sqrt(n), 1.0), far)
