"""Fitting the preprocessing of a table on rows that come in parts: the same, to the bit, as on all rows at once.

Values and words are counted, and pixels by their brightness; sums are exact (`exact_sum`). Deviations need the means
first, so that columns of numbers and moments pass twice. There are no medians or quantiles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.features.encoders import Categorical, Encoder, Numeric, Timestamp, scale_of
from pipelines.data.features.exact_sum import ExactSum
from pipelines.data.features.feature_columns import FeatureColumn, FeatureOptions, Kind
from pipelines.data.features.image_encoder import Image, brightness_counts
from pipelines.data.features.preprocessing import Preprocessing
from pipelines.data.features.raw_columns import Place, raw_values
from pipelines.data.features.text_encoder import Text, filled, words_of
from pipelines.data.images.image_options import ImageOptions

Parts = Callable[[], Iterable[tuple[Any, NDArray[np.int64] | None, str, int]]]
"""Arrow tables one after the other, each with the rows to fit on, or None for all, where it is, and the number of its
first row there. May be called twice."""


def fit_streamed(columns: Sequence[FeatureColumn], parts: Parts, options: FeatureOptions) -> Preprocessing:
    """`Preprocessing.fit` on rows that come in parts.

    Memory is taken for the different values of categorical columns and the different words of texts.

    Raises:
        DataError: a value is not of the kind of its column.
    """
    fits = [(column, _FITS[column.kind](column.name, options)) for column in columns]
    for again in (False, True):
        chosen = [(column, fit) for column, fit in fits if fit.twice or not again]
        if not chosen:
            break
        for table, rows, where, first in parts():
            for column, fit in chosen:
                values = raw_values(table[column.name], column.kind, Place(where, column.name, first))
                fit.add(values if rows is None else values[rows], again=again)
    return Preprocessing(tuple(fit.made() for _, fit in fits))


class _Fit(Protocol):
    """A column that is being fitted.

    Attributes:
        twice: it needs all values a second time.
    """

    twice: bool

    def __init__(self, name: str, options: FeatureOptions) -> None: ...

    def add(self, values: NDArray[Any], *, again: bool) -> None: ...

    def made(self) -> Encoder: ...


class _Moments:
    """Numbers, or moments in seconds; NaN where a value is missing."""

    twice = True
    encoder: type[Numeric] | type[Timestamp]

    def __init__(self, name: str, options: FeatureOptions) -> None:
        self._name, self._count = name, 0
        self._sum, self._squares = ExactSum(), ExactSum()

    def add(self, values: NDArray[np.float64], *, again: bool) -> None:
        known = values[~np.isnan(values)]
        if again:
            self._squares.add((known - self._mean) ** 2)
        else:
            self._count += len(known)
            self._sum.add(known)

    @property
    def _mean(self) -> float:
        return self._sum.value / self._count if self._count else 0.0

    def made(self) -> Encoder:
        if not self._count:
            return self.encoder(self._name, 0.0, 1.0)
        deviation = sqrt(self._squares.value / self._count)
        return self.encoder(self._name, self._mean, scale_of(self._mean, deviation))


class _Numbers(_Moments):
    encoder = Numeric


class _Times(_Moments):
    encoder = Timestamp


class _Values:
    """Values that are names; None where one is missing."""

    twice = False

    def __init__(self, name: str, options: FeatureOptions) -> None:
        self._name, self._most = name, options.vocabulary
        self._counts: Counter[str] = Counter()

    def add(self, values: NDArray[Any], *, again: bool) -> None:
        self._counts.update(value for value in values.tolist() if value is not None)

    def made(self) -> Encoder:
        return Categorical.of_counts(self._name, self._counts, self._most)


class _Words:
    """Texts; None where one is missing."""

    twice = False

    def __init__(self, name: str, options: FeatureOptions) -> None:
        self._name, self._options = name, options
        self._counts: Counter[str] = Counter()

    def add(self, values: NDArray[Any], *, again: bool) -> None:
        self._counts.update(word for text in filled(values) for word in words_of(text))

    def made(self) -> Encoder:
        return Text.of_counts(self._name, self._counts, self._options.words, self._options.length)


class _Pixels:
    """Images; None where one is missing."""

    twice = False

    def __init__(self, name: str, options: FeatureOptions) -> None:
        self._name, self._options = name, ImageOptions.of(options.size, options.channels, "crop")
        self._counts: NDArray[np.int64] | None = None

    def add(self, values: NDArray[Any], *, again: bool) -> None:
        found = brightness_counts(values, self._options)
        self._counts = found if self._counts is None else self._counts + found

    def made(self) -> Encoder:
        assert self._counts is not None
        return Image.of_counts(self._name, self._counts, self._options)


_FITS: dict[Kind, type[_Fit]] = {
    "numeric": _Numbers,
    "categorical": _Values,
    "timestamp": _Times,
    "text": _Words,
    "image": _Pixels,
}
