"""Paired tests of two models on the same samples. Each gives two p-values: for being worse than a margin, and for not.

The tests that refuse are exact at every size and every level, which the error budget needs: it asks for levels of one
in a million, where a normal approximation or a bootstrap has nothing to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of a level, the part that is spent on what is not known of the share of samples on which the models differ.
_NUISANCE = 0.1
RESAMPLES = 2000


@dataclass(frozen=True)
class PairedCounts:
    """Two models on the same samples.

    Attributes:
        lost: samples that the champion answered right and the candidate wrong.
        won: samples that the candidate answered right and the champion wrong.
        samples: all of them.
    """

    lost: int
    won: int
    samples: int

    @property
    def difference(self) -> float:
        """The candidate's accuracy minus the champion's; 0 without samples."""
        return (self.won - self.lost) / self.samples if self.samples else 0.0

    def __add__(self, other: PairedCounts) -> PairedCounts:
        return PairedCounts(self.lost + other.lost, self.won + other.won, self.samples + other.samples)


def count_pairs(champion: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> PairedCounts:
    """Count from answers: (n,) bool each, whether the sample was answered right, in the same order."""
    lost, won = (champion & ~candidate).sum(), (candidate & ~champion).sum()
    return PairedCounts(int(lost), int(won), len(champion))


def worse_p_value(pairs: PairedCounts, margin: float = 0.0, *, level: float = 0.05) -> float:
    """How often a candidate that is worse by at most `margin` loses as much by chance.

    Without a margin it is McNemar's exact test, one-sided: of the samples on which the models differ, each is as likely
    to be lost as won. With a margin, that likelihood depends on how often the models differ, which is not known: the
    worst case within a confidence interval of it counts, and the interval's own error is added.

    Source: McNemar 1947; Berger & Boos 1994 (p-values maximised over a confidence set); Clopper & Pearson 1934.

    Args:
        margin: a loss of accuracy, 0 to 1.
        level: at which the p-value will be judged. It must not depend on these counts.

    Raises:
        ValueError: the margin is not a fraction.
    """
    from scipy.special import bdtrc, betaincinv

    differ, spent = _checked(pairs, margin), level * _NUISANCE
    if not margin:
        return float(bdtrc(pairs.lost - 1, differ, 0.5))
    lowest = float(betaincinv(differ, pairs.samples - differ + 1, spent)) if differ else 0.0
    share = 0.5 + margin / (2 * lowest) if lowest else 1.0
    return 1.0 if share >= 1 else float(min(1.0, bdtrc(pairs.lost - 1, differ, share) + spent))


def no_worse_p_value(pairs: PairedCounts, margin: float = 0.0) -> float:
    """How often a candidate that is worse by `margin` or more does as well by chance: small where it is shown that it
    is not. By the score test; McNemar's exact test without a margin.

    Source: Tango 1998, equation 7 (equivalence of paired proportions).

    Raises:
        ValueError: as `worse_p_value`.
    """
    from scipy.special import bdtr, ndtr

    differ, n, lost = _checked(pairs, margin), pairs.samples, pairs.lost
    if not n:
        return 1.0
    if not margin:
        return float(bdtr(lost, differ, 0.5))
    # The likeliest share of lost samples if the candidate were worse by just the margin.
    slope = differ * (1 + margin) + 2 * lost * margin + 2 * (n - differ) * margin
    share = (slope + math.sqrt(max(0.0, slope**2 - 8 * n * lost * margin * (1 + margin)))) / (4 * n)
    variance = n * (2 * share - margin - margin**2)
    distance = pairs.won - lost + n * margin
    return float(ndtr(-distance / math.sqrt(variance))) if variance > 0 else float(distance <= 0)


def rate_p_values(events: int, samples: int, most: float) -> tuple[float, float]:
    """Exact binomial tests of a rate against `most`: how often a rate of at most `most` gives as many events by chance,
    and how often a rate of at least `most` gives as few.
    """
    from scipy.special import bdtr, bdtrc

    if not samples:
        return 1.0, 1.0
    return float(bdtrc(events - 1, samples, most)), float(bdtr(events, samples, most))


def paired_bootstrap(
    differences: NDArray[np.float64], *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """A two-sided confidence interval of the mean of paired differences, of any score.

    Samples are drawn with replacement, each with both models' scores, 2000 times; the bounds are percentiles. Compare
    them with a margin to see whether the candidate is worse by more than it, at ordinary levels of confidence.

    Source: Efron & Tibshirani 1993, chapter 13; paired for two classifiers: Koehn 2004.

    Args:
        differences: (n,), the candidate's score of a sample minus the champion's; n > 0.
        confidence: between 0 and 1.
        seed: of the draws.

    Raises:
        ValueError: there are no differences.
    """
    if not len(differences):
        raise ValueError("a bootstrap needs samples")
    values, counts = np.unique(differences, return_counts=True)
    return _bootstrap(values, counts, confidence, seed)


def bootstrap_interval(pairs: PairedCounts, *, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """`paired_bootstrap` of right and wrong answers; (0, 0) without samples."""
    if not pairs.samples:
        return 0.0, 0.0
    counts = np.array([pairs.lost, pairs.samples - pairs.lost - pairs.won, pairs.won])
    return _bootstrap(np.array([-1.0, 0.0, 1.0]), counts, confidence, seed)


def samples_to_decide(pairs: PairedCounts, margin: float, *, level: float = 0.05, power: float = 0.8) -> int | None:
    """About how many samples show that two models that differ as often as these, and are equally good, do not differ by
    the margin. None: no number does, without a margin.

    Source: Miettinen 1968 (sample sizes of paired proportions), by the normal approximation.

    Args:
        level: of the test.
        power: how often it should succeed.
    """
    from scipy.special import ndtri

    if margin <= 0:
        return None
    share = (pairs.lost + pairs.won + 0.5) / (pairs.samples + 1)
    distance = float(ndtri(1 - level) + ndtri(power))
    return math.ceil(distance**2 * share / margin**2)


def _bootstrap(
    values: NDArray[np.float64], counts: NDArray[np.int64], confidence: float, seed: int
) -> tuple[float, float]:
    total = int(counts.sum())
    random = np.random.Generator(np.random.Philox(seed))
    means = random.multinomial(total, counts / total, size=RESAMPLES) @ values / total
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _checked(pairs: PairedCounts, margin: float) -> int:
    """On how many samples the models differ."""
    if not 0 <= margin < 1:
        raise ValueError(f"a margin is a fraction, 0 or more and below 1, got {margin:g}")
    return pairs.lost + pairs.won
