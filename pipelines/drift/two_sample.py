"""Do two samples of inputs come from one distribution? Each test gives an effect size and a p-value.

A p-value alone says nothing at production sizes, where any difference is significant: decide by the effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """The outcome of a test.

    Attributes:
        effect: how far apart the samples are: 0 for equal ones, at most 1 (MMD: the square root of 2).
        p_value: how often equal distributions differ as much by chance.
    """

    effect: float
    p_value: float


@dataclass(frozen=True)
class TwoSampleTest:
    """A test of two samples, by name.

    Attributes:
        name: as in reports.
        compare: the test: of a reference (n, d), a sample (m, d) and a seed.
        least_effect: effects below this one are never called drift, unless a caller gives another limit.
        meaning: of the effect, for a person.
        source: the paper.
    """

    name: str
    compare: Callable[[Array, Array, int], Comparison]
    least_effect: float
    meaning: str
    source: str


def ks_statistics(reference: Array, sample: Array) -> Array:
    """Kolmogorov and Smirnov's statistic of each column, (d,): the largest distance of the two distribution functions.

    Args:
        reference: (n, d), n > 0.
        sample: (m, d), m > 0.
    """
    n, m = len(reference), len(sample)
    values = np.concatenate([reference, sample])
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    distance = np.abs(np.cumsum(np.where(order < n, 1 / n, -1 / m), axis=0))
    # The functions are compared after the last of equal values.
    last = np.ones_like(distance, dtype=bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    statistics: Array = np.where(last, distance, 0.0).max(axis=0)
    return statistics


def kolmogorov_smirnov(reference: Array, sample: Array, seed: int = 0) -> Comparison:
    """The largest of the columns' statistics, and its p-value with Bonferroni's correction for their number.

    Source: Rabanser, Guennemann & Lipton 2019, section 3.2 (univariate tests); the p-value is that of the exact
    one-sample distribution at n m / (n + m) samples, conservative where values are tied.

    Args:
        reference: (n, d).
        sample: (m, d).
        seed: not used: the test is not random.
    """
    from scipy.stats import kstwo

    statistics = ks_statistics(reference, sample)
    size = max(1, round(len(reference) * len(sample) / (len(reference) + len(sample))))
    largest = float(statistics.max())
    return Comparison(largest, float(min(1.0, kstwo.sf(largest, size) * len(statistics))))


PERMUTATIONS = 200
MOST_FOR_KERNEL = 500


def maximum_mean_discrepancy(reference: Array, sample: Array, seed: int = 0) -> Comparison:
    """The root of the unbiased squared MMD with a Gaussian kernel, and its p-value by permutations.

    The kernel's width is the median distance of the pooled samples. At most 500 rows of each sample are
    used, drawn with the seed.

    Source: Gretton et al. 2012, equation 3 and section 5 (permutations).

    Args:
        reference: (n, d), n > 1.
        sample: (m, d), m > 1.
        seed: of the rows and the permutations.
    """
    random = np.random.Generator(np.random.Philox(seed))
    first, second = (_at_most(part, MOST_FOR_KERNEL, random) for part in (reference, sample))
    n, m = len(first), len(second)
    pooled = np.concatenate([first, second])
    norms = (pooled**2).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms[None, :] - 2 * pooled @ pooled.T, 0)
    median = float(np.median(squared[np.triu_indices(n + m, 1)])) or 1.0
    kernel = np.exp(-squared / median)
    np.fill_diagonal(kernel, 0)
    members = np.zeros((n + m, PERMUTATIONS + 1))
    members[:n, 0] = 1
    for column in range(1, PERMUTATIONS + 1):
        members[random.permutation(n + m)[:n], column] = 1
    with_first = kernel @ members
    first_sums = (members * with_first).sum(axis=0)
    cross = ((1 - members) * with_first).sum(axis=0)
    second_sums = kernel.sum() - first_sums - 2 * cross
    values = first_sums / (n * (n - 1)) + second_sums / (m * (m - 1)) - 2 * cross / (n * m)
    # The observed order is one of the permutations: the p-value is never 0.
    p_value = float((values >= values[0] - 1e-12).mean())
    return Comparison(float(np.sqrt(max(0.0, values[0]))), p_value)


def classifier_test(reference: Array, sample: Array, seed: int = 0) -> Comparison:
    """How well a classifier tells the samples apart: its balanced accuracy on held-out rows, scaled to 0 (chance) to 1.

    The classifier is a logistic regression on the standardised columns and their squares, fitted on half of the rows.
    The p-value is exact: under chance the rows called the sample's are any of the held-out ones (Fisher's exact test).

    Source: Lopez-Paz & Oquab 2017, section 3.

    Args:
        reference: (n, d), n > 3.
        sample: (m, d), m > 3.
        seed: of the halves.
    """
    from scipy.stats import hypergeom
    from sklearn.linear_model import LogisticRegression

    random = np.random.Generator(np.random.Philox(seed))
    pooled = np.concatenate([reference, sample])
    spread = pooled.std(axis=0)
    columns = (pooled - pooled.mean(axis=0)) / np.where(spread > 0, spread, 1)
    columns = np.concatenate([columns, columns**2], axis=1)
    labels = np.repeat([0, 1], [len(reference), len(sample)])
    fitted = np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        rows = np.flatnonzero(labels == label)
        fitted[random.permutation(rows)[: len(rows) // 2]] = True
    model = LogisticRegression(C=0.1, max_iter=200, class_weight="balanced").fit(columns[fitted], labels[fitted])
    hits = model.predict(columns[~fitted]) == labels[~fitted]
    held_out = labels[~fitted]
    balanced = sum(float(hits[held_out == label].mean()) for label in (0, 1)) / 2
    called = np.where(hits, held_out, 1 - held_out)
    overlap = int(((called == 1) & (held_out == 1)).sum())
    p_value = float(hypergeom.sf(overlap - 1, len(held_out), int(held_out.sum()), int(called.sum())))
    return Comparison(max(0.0, 2 * balanced - 1), p_value)


def _at_most(rows: Array, most: int, random: np.random.Generator) -> Array:
    return rows if len(rows) <= most else rows[np.sort(random.choice(len(rows), most, replace=False))]


TESTS: dict[str, TwoSampleTest] = {
    test.name: test
    for test in (
        TwoSampleTest(
            "ks",
            kolmogorov_smirnov,
            0.1,
            "largest distance of the distribution functions of a column",
            "Rabanser, Guennemann & Lipton 2019",
        ),
        TwoSampleTest(
            "mmd",
            maximum_mean_discrepancy,
            0.1,
            "distance of the mean embeddings under a Gaussian kernel",
            "Gretton et al. 2012",
        ),
        TwoSampleTest(
            "classifier",
            classifier_test,
            0.1,
            "how well a classifier tells the samples apart, 0 for chance",
            "Lopez-Paz & Oquab 2017",
        ),
    )
}
"""The tests of inputs, by name."""
