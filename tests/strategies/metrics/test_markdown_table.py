"""The table of all metrics in Markdown."""

import re
import subprocess
import sys

import pytest

from strategies.metrics import Metric, all_metrics, all_scores, metrics_table, scores_table


def test_a_row_for_each_metric_with_all_that_the_record_says() -> None:
    head, rule, *rows = metrics_table().splitlines()
    assert head == "| metric | unit | better | definition | source |" and set(rule) <= set("| -")
    assert len(rows) == len(all_metrics())
    for metric, row in zip(all_metrics(), rows, strict=True):
        cells = [cell.replace("\\", "") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        expected = [f"`{metric.name}`", metric.unit, metric.better, metric.definition, metric.source]
        assert [cell.strip() for cell in cells] == expected


def test_what_would_end_a_cell_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Metric("odd", "count", "lower", "cost", lambda e: 1.0, "odd", "|a*| of a*", "none")
    monkeypatch.setattr("strategies.metrics.metric_registry.METRICS", (odd,))
    assert metrics_table().splitlines()[-1] == "| `odd` | count | lower | \\|a\\*\\| of a\\* | none |"


def test_as_a_command() -> None:
    done = subprocess.run([sys.executable, "-m", "strategies.metrics"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, metrics_table() + "\n", "")


def test_a_row_for_each_score() -> None:
    rows = scores_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [score.name for score in all_scores()]
    assert any("`recall@precision=NUMBER`" in row and "`multi-label`" in row for row in rows)
