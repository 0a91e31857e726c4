import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from orchestrator.progress.matrix_table import matrix_view, metrics_view
from strategies.metrics import all_metrics


def rendered(view: RenderableType, width: int = 80, colour: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    console.print(view)
    return out.getvalue()


def full(size: int, value: float = 1.0) -> list[list[float | None]]:
    return [[value] * size for _ in range(size)]


def numbers(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.split() and line.split()[0].isdigit()]


def test_rows_are_in_percent_with_the_mean_over_what_was_learned() -> None:
    text = rendered(matrix_view([[1.0, 0.12], [0.5, 0.9]]))
    assert numbers(text) == [["0", "100.0", "12", "100.0"], ["1", "50.0", "90.0", "70.0"]]


def test_what_was_not_evaluated_is_a_dot_and_makes_no_mean() -> None:
    text = rendered(matrix_view([[None, 0.1], [0.5, 0.9]]))
    assert numbers(text)[0] == ["0", "\N{MIDDLE DOT}", "10"]


@given(st.integers(1, 10))
def test_up_to_ten_experiences_fit_into_80_columns_uncut(size: int) -> None:
    text = rendered(matrix_view(full(size)))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert numbers(text) == [
        [str(row), *["100.0"] * (row + 1), *["100"] * (size - row - 1), "100.0"] for row in range(size)
    ]


@pytest.mark.parametrize("size", [11, 100])
def test_longer_streams_show_the_first_and_the_last(size: int) -> None:
    text = rendered(matrix_view(full(size)))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert [row[0] for row in numbers(text)] == [str(row) for row in (0, 1, 2, 3, *range(size - 5, size))]
    assert "--json has all" in text


def test_a_stream_that_is_longer_than_its_lineage() -> None:
    assert len(numbers(rendered(matrix_view([[0.9, 0.1, 0.2]])))) == 1
    assert numbers(rendered(matrix_view([]))) == []


def test_what_was_forgotten_is_coloured_by_how_much() -> None:
    text = rendered(matrix_view([[0.9, 0.0, 0.0], [0.75, 0.9, 0.0], [0.5, 0.85, 0.9]]), colour=True)
    last = text.splitlines()[-1]
    assert "\x1b[33m 75.0" in text.replace("\x1b[33m75.0", "\x1b[33m 75.0")
    assert "\x1b[31m" in last and "\x1b[33m" not in last


def test_forgetting_counts_from_the_best_accuracy_not_from_the_first() -> None:
    rows = [[0.5, 0.0, 0.0], [0.95, 0.9, 0.0], [0.6, 0.9, 0.9]]
    assert "\x1b[31m" in rendered(matrix_view(rows), colour=True)


def test_no_colour_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    Console(file=out, width=80, force_terminal=True).print(matrix_view([[0.9, 0.0], [0.1, 0.9]]))
    assert "\x1b[31m" not in out.getvalue() and "\x1b[33m" not in out.getvalue()


def test_metrics_have_their_unit_and_differences_their_sign() -> None:
    text = rendered(
        metrics_view(json.loads('{"average_accuracy": 0.9, "backward_transfer": -0.05, "forgetting": null}'))
    )
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "90.0 %" in lines["average accuracy"]
    assert "-5.0 %" in lines["backward transfer"]
    assert "%" not in lines["forgetting"]
    assert len(lines) == len(all_metrics("matrix")) and all(len(line) <= 80 for line in text.splitlines())
