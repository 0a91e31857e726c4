"""Splits share out the classes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.pipeline_errors import DataError
from pipelines.data.splits import even_split, explicit_split, numbered, seeded, shuffled


def test_numbers_that_are_no_class_numbers_are_labels() -> None:
    names = ("3", "7", "9")
    assert numbered([[7], [3, 9]], 3, names) == [[1], [0, 2]]
    assert numbered([[2], [0, 1]], 3, names) == [[2], [0, 1]]  # as ever
    assert numbered([["7"], [0]], 3, names) == [[1], [0]]
    with pytest.raises(DataError, match="no class 8 exists: they are 0 to 2"):
        explicit_split(numbered([[8], [3]], 3, names), 3, None)


@given(st.integers(1, 60), st.data())
def test_an_even_split_is_a_partition_of_nearly_equal_parts(classes: int, data: st.DataObject) -> None:
    experiences = data.draw(st.integers(1, classes))
    seed = data.draw(st.integers(0, 2**40))
    order = shuffled(classes, seed)
    groups = even_split(order, experiences)
    assert len(groups) == experiences
    assert [number for group in groups for number in group] == order
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


@given(st.integers(0, 100), st.integers(0, 2**63))
def test_shuffling_is_a_seeded_permutation(count: int, seed: int) -> None:
    assert sorted(shuffled(count, seed)) == list(range(count))
    assert shuffled(count, seed) == shuffled(count, seed)


def test_seeded_numbers_are_the_same_for_good() -> None:
    assert shuffled(10, 0) == [2, 9, 5, 3, 6, 1, 0, 7, 8, 4]
    assert shuffled(10, 1) != shuffled(10, 0)
    assert seeded(0, "a").randint(1000) != seeded(0, "b").randint(1000)


def test_explicit_lists_are_taken_as_they_are() -> None:
    assert explicit_split([[3, 1], [0]], 4, None) == [(3, 1), (0,)]
    assert explicit_split([[3, 1], [0]], 4, 1) == [(3, 1)]


@pytest.mark.parametrize(
    ("order", "experiences", "message"),
    [
        ([[0], []], None, "stream.order.1: the experience has no classes"),
        ([[0], [4]], None, "stream.order.1: no class 4 exists: they are 0 to 3"),
        ([[0], [-1]], None, "no class -1 exists"),
        ([[0, 1], [1]], None, "stream.order.1: class 1 is also in experience 0"),
        ([[2, 2]], None, "class 2 is twice"),
        ([[0], [1]], 3, "stream.experiences: 3 experiences, but stream.order lists 2"),
    ],
)
def test_impossible_lists_are_refused(order: list[list[int]], experiences: int | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        explicit_split(order, 4, experiences)


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(DataError) as caught:
        explicit_split([[9], [], [0, 0]], 4, 7)
    assert len(caught.value.problems) == 4


def test_more_experiences_than_classes_are_refused() -> None:
    with pytest.raises(DataError, match="11 experiences, but the dataset has only 10 classes"):
        even_split(range(10), 11)
    with pytest.raises(DataError, match="at least 1"):
        even_split(range(10), 0)


@pytest.mark.parametrize(
    ("names", "order", "numbers"),
    [
        (None, [[1, 0], [2]], [[1, 0], [2]]),
        (None, [["1", "0"], ["2"]], [[1, 0], [2]]),
        (("cat", "dog", "emu"), [["emu"], ["dog", 0]], [[2], [1, 0]]),
        (("10", "20", "30"), [["30"], ["10", "20"]], [[2], [0, 1]]),
    ],
)
def test_an_order_names_classes_by_number_or_by_name(names: Any, order: Any, numbers: Any) -> None:
    assert numbered(order, 3, names) == numbers


def test_a_name_that_no_class_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"stream\.order\.1: no class is called 'dgo', did you mean 'dog'"):
        numbered([["cat"], ["dgo"]], 2, ("cat", "dog"))
    with pytest.raises(DataError, match=r"stream\.order\.0: no class is called '7': they are 0, 1"):
        numbered([["7"]], 2)
