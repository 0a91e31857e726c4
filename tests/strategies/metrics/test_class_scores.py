"""Scores of classes against scikit-learn on drawn predictions, and by hand."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from strategies.metrics import balanced_accuracy, macro_f1, recalls, worst_recall

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=60)


def counts(pairs: list[tuple[int, int]]) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """What a commit records of (class, predicted class) of each sample."""
    total = Counter(label for label, _ in pairs)
    both = Counter(pairs)
    classes = [(label, both[label, label], n) for label, n in sorted(total.items())]
    return classes, [(label, answer, n) for (label, answer), n in sorted(both.items()) if label != answer]


@given(PAIRS)
def test_they_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    classes, confusion = counts(pairs)
    actual, predicted = np.array(pairs).T
    each = sklearn.recall_score(actual, predicted, labels=sorted(set(actual)), average=None, zero_division=0)
    assert balanced_accuracy(classes) == pytest.approx(float(each.mean()))
    assert worst_recall(classes) == pytest.approx(float(each.min()))
    assert list(recalls(classes).values()) == pytest.approx(each.tolist())
    expected = sklearn.f1_score(actual, predicted, average="macro", zero_division=0)
    assert macro_f1(classes, confusion) == pytest.approx(float(expected))


def test_the_majority_alone_looks_good_in_accuracy_only() -> None:
    classes, confusion = counts([(0, 0)] * 98 + [(1, 0)] * 2)
    assert balanced_accuracy(classes) == 0.5 and worst_recall(classes) == 0
    assert macro_f1(classes, confusion) == pytest.approx((2 * 98 / (98 + 100) + 0) / 2)


def test_nothing_counted_gives_no_number() -> None:
    assert all(math.isnan(value) for value in (balanced_accuracy([]), worst_recall([]), macro_f1([], [])))
    assert math.isnan(macro_f1([(0, 1, 2)], None))
    assert recalls([(3, 0, 0)]) == {}
