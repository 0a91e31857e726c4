"""Labels and ids of files as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.labels import LabelMap, id_numbers, label_map


def _map(classes: Any, *labels: Any) -> LabelMap:
    return label_map(classes, [(np.array(values), f"file {i}") for i, values in enumerate(labels)])


def test_classes_from_the_data() -> None:
    assert _map(None, [0, 2], [5, 1]) == LabelMap(6)
    assert _map(None, ["b", "a"], ["c", "a"]) == LabelMap(3, ("a", "b", "c"))
    assert _map(None, [True, False]) == LabelMap(2)
    assert _map(None, [], [1.0, 0.0]) == LabelMap(2)


def test_labels_with_gaps_are_warned_about_with_the_remedy() -> None:
    """The model's head has a unit for every number up to the highest."""
    assert _map(None, [0, 2], [1, 3]).warnings == ()
    assert _map(101, [0, 100]).warnings == _map([0, 100], [0, 100]).warnings == ()
    (text,) = _map(None, [0, 1, 2], [3, 4, 100]).warnings
    assert "6 classes, but the model's head has 101 units" in text
    assert "dataset.classes: [0, 1, 2, 3, 4, 100]" in text
    assert "\n" not in text


def test_classes_as_told_do_not_look_at_the_data() -> None:
    def unread() -> Any:
        raise AssertionError("read")
        yield

    assert label_map(4, unread()) == LabelMap(4)
    assert label_map(["x", "y"], unread()) == LabelMap(2, ("x", "y"))


@given(st.lists(st.integers(0, 9), min_size=1), st.sampled_from(["u1", "i2", "i8", "f4", "f8", "u8"]))
def test_whole_numbers_of_any_dtype(labels: list[int], dtype: str) -> None:
    found = LabelMap(10).numbers(np.array(labels, dtype=dtype), "f")
    assert found.dtype == np.int64
    assert found.tolist() == labels


@given(st.lists(st.sampled_from(["cat", "dog", "ä"]), min_size=1), st.sampled_from(["U", "O", "S"]))
def test_words(labels: list[str], kind: str) -> None:
    values = np.array([w.encode() for w in labels]) if kind == "S" else np.array(labels, dtype=kind)
    order = ("dog", "ä", "cat")
    assert [order[i] for i in LabelMap(3, order).numbers(values, "f")] == labels


def test_listed_numbers_are_renumbered() -> None:
    assert _map([30, 10]).numbers(np.array([10, 30, 30]), "f").tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("mapping", "labels", "message"),
    [
        (LabelMap(3), [0, 3, 4], r"f: label 3 in row 1 does not fit: the 3 classes are 0 to 2 \(2 such rows\)"),
        (LabelMap(3), [-1], "label -1 in row 0"),
        (LabelMap(3), [0.5], "label 0.5 in row 0 does not fit: not a whole number"),
        (LabelMap(3), [0, np.nan], "label nan in row 1 does not fit"),
        (LabelMap(3), ["a"], r"label 'a' in row 0 does not fit.*classes: \[...\]"),
        (LabelMap(2, ("a", "b")), ["a", "c"], "label 'c' in row 1 does not fit: the 2 classes are a, b"),
        (LabelMap(3), [None], "label None in row 0"),
        (LabelMap(3), [1j], "whole numbers or text, got complex"),
        (LabelMap(3), [[0, 1]], r"must have shape \(n,\), got \(1, 2\)"),
        (LabelMap(3), np.array([2**63], dtype=np.uint64), "does not fit"),
    ],
)
def test_labels_that_do_not_fit_are_named(mapping: LabelMap, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mapping.numbers(np.array(labels), "f")


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (None, [[0], ["a"]], "file 1: some labels are numbers and some are text, such as 'a'"),
        (None, [[0, -2]], "file 0: label -2 in row 1 does not fit"),
        (None, [[]], "no labels at all"),
        (None, [[0, 1], [2, 1_000_000]], r"would have 1,000,001 units.*dataset.classes: \[0, 1, 2, 1000000\]"),
        (["a", "a"], [], "listed twice"),
    ],
)
def test_impossible_classes_are_refused(classes: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _map(classes, *labels)


def test_ids() -> None:
    assert id_numbers(np.array([5, -3], dtype=np.int32), "f").tolist() == [5, -3]
    words = id_numbers(np.array(["a", "b"], dtype=object), "f")
    assert words.dtype == np.int64
    assert words.tolist() == id_numbers(np.array([b"a", b"b"]), "f").tolist()
    assert words.tolist() == [3405396810240292928, 8453121595177857668]
    with pytest.raises(DataError, match="f: id 7 occurs more than once"):
        id_numbers(np.array([7, 1, 7]), "f")
    with pytest.raises(DataError, match="ids must be whole numbers or text, got float64"):
        id_numbers(np.array([0.5]), "f")
