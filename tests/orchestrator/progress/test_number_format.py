import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.progress.number_format import classes, count, duration, percent, short, signed_percent, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (3.21, "3.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (75, "1 min 15 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_carry_over_at_the_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(min_value=0, max_value=1e6))
def test_a_duration_never_shows_sixty_of_a_unit(seconds: float) -> None:
    text = duration(seconds)
    assert "60 min" not in text and " 60 s" not in text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (1_234_567, "1.2 MB")]
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


def test_accuracies_and_their_differences() -> None:
    assert percent(0.98765) == "98.8"
    assert percent(None) == "-"
    assert signed_percent(-0.031) == "-3.1"
    assert signed_percent(0.02) == "+2.0"
    assert signed_percent(-0.0001) == signed_percent(0.0001) == "0.0"
    assert signed_percent(None) == "-"


def test_counts_have_a_plural() -> None:
    assert (count(1, "worker"), count(0, "worker"), count(12000, "sample")) == (
        "1 worker",
        "0 workers",
        "12,000 samples",
    )


def test_classes_are_written_as_ranges() -> None:
    assert classes([0, 1]) == "0 1"
    assert classes([0, 1, 2, 3, 7]) == "0-3 7"
    assert classes([5, 3, 9]) == "5 3 9"
    assert classes([]) == ""


@given(st.lists(st.integers(0, 10**6), max_size=50), st.integers(10, 30))
def test_classes_never_take_more_room_than_there_is(labels: list[int], room: int) -> None:
    assert len(classes(labels, room)) <= room


def test_classes_may_have_names() -> None:
    names = ["cat", "dog", "a\x1b[31m\nemu"]
    assert classes([0, 1], names=names) == "cat dog"
    assert "\x1b" not in classes([2], names=names) and "\n" not in classes([2], names=names)
    assert classes([0, 1, 2, 3], names=names) == "0-3"
    assert classes([0] * 9, 12, names=names) == "cat cat\N{HORIZONTAL ELLIPSIS}"


def test_a_short_id_is_a_prefix() -> None:
    assert short("0123456789abcdef" * 4) == "0123456789ab"
