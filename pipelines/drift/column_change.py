"""How much the distribution of each column of a table has changed: figures to look at, for each feature by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.drift.two_sample import Array

BINS = 10
_SMOOTHING = 0.5


@dataclass(frozen=True)
class ColumnChange:
    """How much a column has changed.

    Attributes:
        name: of the column.
        stability: the population stability index.
        distance: the Wasserstein distance, in standard deviations of the reference.
    """

    name: str
    stability: float
    distance: float


def column_changes(names: Sequence[str], reference: Array, sample: Array) -> tuple[ColumnChange, ...]:
    """The change of each column, the largest stability index first.

    Args:
        names: of the columns, (d,).
        reference: (n, d), n > 0.
        sample: (m, d), m > 0.
    """
    found = zip(names, population_stability(reference, sample), wasserstein(reference, sample), strict=True)
    changes = [ColumnChange(name, float(index), float(distance)) for name, index, distance in found]
    return tuple(sorted(changes, key=lambda change: -change.stability))


def population_stability(reference: Array, sample: Array, bins: int = BINS) -> Array:
    """The population stability index of each column, (d,): 0 for equal ones, without an upper limit.

    The symmetrised Kullback-Leibler divergence of two histograms, whose bins hold equal shares of the reference. Half a
    row is added to each bin, so that an empty one does not make it infinite. Below 0.1 counts as stable, above 0.25 as
    changed, whatever the number of rows; with few rows it is larger by chance (Yurdakul & Naranjo 2020: by about
    (bins - 1) (1/n + 1/m)).

    Source: Siddiqi 2006, Credit risk scorecards, chapter 9.

    Args:
        reference: (n, d), n > 0.
        sample: (m, d), m > 0.
        bins: at most so many; fewer where values are tied.
    """
    found = []
    for column in range(reference.shape[1]):
        first, second = reference[:, column], sample[:, column]
        inner = np.unique(np.quantile(first, np.arange(1, bins) / bins))
        counts = [
            np.bincount(np.searchsorted(inner, x, side="right"), minlength=len(inner) + 1) for x in (first, second)
        ]
        shares = [(c + _SMOOTHING) / (c + _SMOOTHING).sum() for c in counts]
        found.append(float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum()))
    return np.array(found)


def wasserstein(reference: Array, sample: Array) -> Array:
    """The Wasserstein distance of each column, in standard deviations of the reference, (d,): 1 is a shift by one.

    A column that is constant in the reference keeps its own unit.

    Source: Ramdas, Garcia & Cuturi 2017, section 3 (the distance of order 1 in one dimension).

    Args:
        reference: (n, d), n > 0.
        sample: (m, d), m > 0.
    """
    spread = reference.std(axis=0)
    found = []
    for column in range(reference.shape[1]):
        first, second = np.sort(reference[:, column]), np.sort(sample[:, column])
        values = np.sort(np.concatenate([first, second]))
        shares = [np.searchsorted(x, values[:-1], side="right") / len(x) for x in (first, second)]
        found.append(float((np.abs(shares[0] - shares[1]) * np.diff(values)).sum()))
    distances: Array = np.array(found) / np.where(spread > 0, spread, 1)
    return distances
