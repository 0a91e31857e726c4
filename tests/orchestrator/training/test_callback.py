"""Callbacks of runs, and the example of the documentation."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path

import pytest

from orchestrator import Callback, run
from orchestrator.errors import CallbackFailed
from tests.orchestrator.train_stream import train
from tests.orchestrator.training.diary import Diary, pipeline

EXAMPLE = Path(__file__).parents[3] / "docs/examples/csv_callback.py"


def test_a_run_with_nothing_to_train_begins_and_ends(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    train(made)
    diary = Diary()
    result = run(made, callbacks=[diary])
    assert [note for note in diary.notes if note[0] != "on_warning"] == [
        ("on_run_start", "seen", 3),
        ("on_run_end", result),
    ]


def csv_callback(path: Path) -> Callback:
    spec = importlib.util.spec_from_file_location("csv_callback", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callback = module.CSVCallback(path)
    return made


def test_the_example_is_short_enough_to_be_copied() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 20


@pytest.mark.slow
def test_the_example_writes_the_metrics_of_a_run(tmp_path: Path) -> None:
    diary = Diary()
    result = run(pipeline(tmp_path), callbacks=[csv_callback(tmp_path / "metrics.csv"), diary])
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["experience"]) for row in rows] == [0, 1, 2]
    assert [float(row["average_accuracy"]) for row in rows] == [m["average_accuracy"] for m in result.history]
    assert diary.methods()[0] == "on_run_start" and diary.methods()[-1] == "on_run_end"
    assert diary.methods().count("on_experience_end") == diary.methods().count("on_experience_start") == 3


@pytest.mark.slow
def test_a_callback_that_fails_stops_the_run_and_the_next_one_continues(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    diary = Diary(fail="on_experience_end")
    with pytest.raises(CallbackFailed, match="Diary failed in on_experience_end"):
        run(made, callbacks=[diary])
    assert diary.methods()[-2:] == ["on_experience_end", "on_run_failed"]
    result = run(made)
    assert result.reused >= 1 and result.reused + result.trained == 3
