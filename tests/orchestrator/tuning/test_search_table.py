import io

import pytest
from rich.console import Console

from orchestrator.tuning.search_reporter import SearchSummary
from orchestrator.tuning.search_result import Best, Compared, CompareResult, TuneResult
from orchestrator.tuning.search_table import LiveSearchReporter, PlainSearchReporter
from orchestrator.tuning.search_text import compare_lines, cost_lines
from orchestrator.tuning.trial_record import TrialRecord
from strategies.metrics import metric_names

SUMMARY = SearchSummary(
    "tune", "x: random search, 3 trials", 3, ("average_accuracy",), ("max",), ("strategy.ewc.lambda",)
)


def record(number: int, state: str, accuracy: float | None = None) -> TrialRecord:
    history = [] if accuracy is None else [{"average_accuracy": accuracy}] * 5
    ended = 2000 if state in ("done", "failed") else None
    return TrialRecord.model_validate(
        {
            "number": number, "state": state, "settings": {"strategy.ewc.lambda": 10.0 * number}, "of": 5,
            "history": history, "started": 0, "ended": ended, "trained": 4, "reused": 1,
            "error": "the loss became nan" if state == "failed" else None,
        }
    )  # fmt: skip


def result() -> TuneResult:
    metrics: dict[str, float | None] = {"average_accuracy": 0.75}
    best = Best(1, {"strategy.ewc.lambda": 10.0}, metrics, {"average_accuracy": 0.8}, ["a" * 64], 5, 0)
    trials = [record(0, "failed"), record(1, "done", 0.8)]
    return TuneResult("x", ("average_accuracy",), ("max",), best, trials, [], 4, 1, 2.0, {})


def test_lines_for_logs() -> None:
    stream = io.StringIO()
    reporter = PlainSearchReporter(Console(file=stream, width=80))
    reporter.start(SUMMARY, [record(0, "done", 0.5)])
    reporter.waiting("for Ray on this machine to start, then for the first of 2 trials")
    for one in (record(1, "running"), record(1, "done", 0.8), record(1, "done", 0.8), record(2, "failed")):
        reporter.trial(one)
    reporter.warning("careful")
    reporter.finish(result())
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["x: random search, 3 trials", "1 trial done before"]
    assert lines.pop(2) == "waiting: for Ray on this machine to start, then for the first of 2 trials"
    assert lines[2].startswith("trial 1    done      ewc.lambda=10  average accuracy 80.0 %")
    assert lines[3].startswith("trial 2    failed") and lines[3].endswith("the loss became nan")
    assert lines[4] == "warning: careful"
    text = "\n".join(lines[5:])
    assert "1 trial failed" in text and "best: trial 1" in text and "75.0 %" in text and "trained 4 exp" in text


def test_the_live_table_leaves_all_trials_on_the_terminal() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, height=24, force_terminal=True, color_system=None)
    with LiveSearchReporter(console, tables=False) as reporter:
        reporter.start(SUMMARY, [record(0, "done", 0.5)])
        reporter.trial(record(1, "running"))
        reporter.trial(record(2, "done", 0.8))
    screen = stream.getvalue()
    table = screen[screen.rindex("trial") :]
    rows = [line.split() for line in table.splitlines()]
    assert ["0", "0", "5/5", "50.0", "done"] in rows and ["2", "20", "5/5", "80.0", "done"] in rows
    assert ["1", "10", "0/5", "running"] in rows
    reporter.close()


@pytest.mark.parametrize("kind", [PlainSearchReporter, LiveSearchReporter])
def test_a_comparison(kind: type[PlainSearchReporter]) -> None:
    stream = io.StringIO()
    runs = [record(0, "done", 0.8), record(1, "done", 0.9)]
    outcome = CompareResult([Compared("x", runs, {"average_accuracy": 0.88})], 8, 2, 3.0, {})
    kind(Console(file=stream, width=100)).finish(outcome)
    assert "85.00 ± 7.07 (published 88.00)" in stream.getvalue()


def test_a_wide_comparison_is_divided_by_its_columns() -> None:
    runs = [record(0, "done", 0.8), record(1, "done", 0.9)]
    for run in runs:
        run.history[-1].update(dict.fromkeys(metric_names(), 0.5))
    both = [Compared(name, runs, {"average_accuracy": 0.88}) for name in ("split-mnist-class-online-replay", "b")]
    lines = compare_lines(both, 80) + cost_lines(both, 80)
    assert max(map(len, lines)) <= 80
    heads = [line for line in lines if line.startswith("pipeline")]
    shown = " ".join(heads)
    assert len(heads) > 2 and all(shown.count(name.replace("_", " ")) >= 1 for name in metric_names())
    assert sum(line.startswith("b  ") for line in lines) == len(heads)
