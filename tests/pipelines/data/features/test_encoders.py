"""Each kind of column as numbers: laws over any values."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.data.features.encoders import ENCODERS, FIRST, MISSING, UNKNOWN, Categorical, Numeric, Timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBERS = st.lists(st.floats(-1e9, 1e9) | st.just(math.nan), min_size=1, max_size=30).map(np.array)
WORDS = st.lists(st.text(max_size=3) | st.none(), min_size=1, max_size=30)
MOMENTS = st.datetimes(datetime(1850, 1, 1), datetime(2250, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


def objects(values: list[str | None]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


@given(NUMBERS)
@settings(max_examples=50)
def test_numbers_are_standardised_and_missing_ones_marked(values: np.ndarray) -> None:
    found = Numeric.fit("x", values, 10).encode(values)
    missing = np.isnan(values)
    assert np.array_equal(found[:, 1], missing) and not found[missing, 0].any()
    known = found[~missing, 0]
    if len(known) > 1 and np.std(values[~missing]) > 1e-3:
        assert abs(known.mean()) < 1e-6 and abs(known.std() - 1) < 1e-6


@given(WORDS, WORDS, st.integers(1, 5))
@settings(max_examples=50)
def test_categories_are_codes(first: list[str | None], later: list[str | None], vocabulary: int) -> None:
    encoder = Categorical.fit("x", objects(first), vocabulary)
    known = {value for value in first if value is not None}
    assert set(encoder.values) <= known and len(encoder.values) == min(vocabulary, len(known))
    for value in known - set(encoder.values):
        assert all(first.count(value) <= first.count(other) for other in encoder.values)
    for value, (code,) in zip(later, encoder.encode(objects(later)).tolist(), strict=True):
        expected = UNKNOWN if value not in encoder.values else FIRST + encoder.values.index(value)
        assert code == (MISSING if value is None else expected) and code < (encoder.size or 0)


@given(st.lists(MOMENTS, min_size=1, max_size=10))
@settings(max_examples=50)
def test_moments_are_cycles_and_time_elapsed(moments: list[datetime]) -> None:
    seconds = np.array([*((moment - EPOCH) / timedelta(seconds=1) for moment in moments), math.nan])
    found = Timestamp.fit("at", seconds, 10).encode(seconds)
    assert not found[-1, :-1].any() and found[-1, -1] == 1 and not found[:-1, -1].any()
    for row, moment in zip(found, moments, strict=False):
        cycles = (
            ((moment.hour * 60 + moment.minute) / 1440, 0),
            (moment.weekday() / 7, 2),
            ((moment.month - 1) / 12, 4),
        )
        for share, place in cycles:
            wave = math.sin(2 * math.pi * share), math.cos(2 * math.pi * share)
            assert row[place : place + 2].tolist() == pytest.approx(wave, abs=1e-8)
    order = np.argsort(seconds[:-1], kind="stable")
    assert (np.diff(found[:-1, 6][order]) >= 0).all()


@given(NUMBERS, WORDS)
@settings(max_examples=25)
def test_what_was_fitted_is_plain_data(numbers: np.ndarray, words: list[str | None]) -> None:
    fitted = [Numeric.fit("n", numbers, 9), Timestamp.fit("t", numbers, 9), Categorical.fit("c", objects(words), 9)]
    for encoder in fitted:
        again = ENCODERS[encoder.kind].read(json.loads(json.dumps(encoder.document())))
        assert (
            again == encoder
            and len(encoder.columns)
            == encoder.encode(numbers[:1] if encoder.kind != "categorical" else objects(words[:1])).shape[1]
        )
        assert encoder.words


def test_columns_without_values_or_without_a_difference_are_not_divided_by_zero() -> None:
    for values in ([math.nan, math.nan], [0.1] * 3, [1e300] * 3):
        encoder = Numeric.fit("x", np.array(values), 10)
        assert encoder.scale == 1 and np.isfinite(encoder.encode(np.array(values))).all()
