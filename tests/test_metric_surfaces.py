"""One record is enough: whatever names, shows or searches metrics has each of them, and one that is added in a test."""

from __future__ import annotations

import io
import json
import runpy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from orchestrator.events import CommitWritten
from orchestrator.jobs.relay.receiver import Receiver
from orchestrator.jobs.relay.sender import RelayReporter
from orchestrator.lineage.chain_metrics import Metrics, chain_metrics
from orchestrator.progress.matrix_table import metrics_view
from orchestrator.progress.number_format import metric_text
from orchestrator.progress.run_reporter import Reporter
from orchestrator.result import RunResult
from orchestrator.tracking.metric_figure import metrics_drawing
from orchestrator.tracking.metric_points import parent_points
from orchestrator.tracking.run_description import description
from orchestrator.training.prometheus import Readings
from orchestrator.tuning.search_result import Compared
from orchestrator.tuning.search_text import compare_lines, cost_lines, trial_line
from orchestrator.tuning.trial_record import TrialRecord
from pipelines.config.load import load_text
from pipelines.config.sections.tune_section import TuneSpec
from strategies.metrics import Metric, RunningMetrics, all_metrics, metric_names, metrics_table, summary
from tests.orchestrator.tracking.chains import make_chain

ROOT = Path(__file__).parents[1]
MATRIX = Metric("odd_share", "fraction", "lower", "matrix", lambda e: 0.125 + len(e.rows), "odd", "made up", "a test")
ADDED = {
    "matrix": MATRIX,
    "answers": replace(MATRIX, name="odd_answers", scope="answers", unit="signed fraction", better="higher"),
    "cost": replace(MATRIX, name="odd_bytes", scope="cost", unit="bytes", function=lambda e: 2000),
}


@pytest.fixture(params=[None, *ADDED])
def metrics(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Metric, ...]:
    """All records; with one more, which no other file knows of."""
    if request.param is not None:
        monkeypatch.setattr("strategies.metrics.metric_registry.METRICS", (*all_metrics(), ADDED[request.param]))
        assert ADDED[request.param].name in metric_names()
    return all_metrics()


def history() -> list[Metrics]:
    """The metrics along a stream in which every one of them is known in the end."""
    return chain_metrics(make_chain(), reference=[1.0, 1.0, 0.9, 0.9, 0.9])


def result() -> RunResult:
    return RunResult("p", ["a"], [[1.0]], history()[-1], 5, 0, 1.5, history=history())


def record() -> TrialRecord:
    return TrialRecord(number=0, state="done", seeds=[0], history=history(), times=[1] * 5, of=5, ended=1)


def test_they_are_known_after_every_stream(metrics: Sequence[Metric]) -> None:
    values = history()
    assert [*values[-1]] == [metric.name for metric in metrics]
    assert not [name for name, value in values[-1].items() if value is None]
    matrix = [metric.name for metric in metrics if metric.scope == "matrix"]
    assert [*summary([[0.5]], [0.1])] == [*RunningMetrics().add([0.5])] == matrix


def test_json(metrics: Sequence[Metric]) -> None:
    document = json.loads(json.dumps(result().to_json(), allow_nan=False))
    for metric in metrics:
        assert document[metric.name] == document["history"][metric.name][-1] == history()[-1][metric.name]


def test_terminal(metrics: Sequence[Metric]) -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(metrics_view(history()[-1]))
    lines = {line.split("  ")[0]: line.rstrip() for line in out.getvalue().splitlines()}
    assert [*lines] == [metric.title for metric in metrics]
    for metric in metrics:
        assert metric_text(metric.name, history()[-1][metric.name]) in lines[metric.title]
        assert lines[metric.title].endswith(metric.meaning)


def test_what_a_job_tells(metrics: Sequence[Metric]) -> None:
    heard: list[RunResult] = []

    class Heard(Reporter):
        def finish(self, result: RunResult) -> None:
            heard.append(result)

    stream = io.StringIO()
    RelayReporter(stream, tables=False).finish(result())
    Receiver(lambda line: None, Heard())(stream.getvalue())
    assert heard[0].metrics == result().metrics and [*heard[0].metrics] == [metric.name for metric in metrics]


def test_pipeline_file(metrics: Sequence[Metric]) -> None:
    space = {"seed": {"grid": [1]}}
    for metric in metrics:
        spec = TuneSpec.model_validate({"metric": metric.name, "space": space})
        assert spec.modes == ("max" if metric.better == "higher" else "min",)
    with pytest.raises(ValidationError) as caught:
        TuneSpec.model_validate({"metric": "nonsense", "space": space})
    expected = str(caught.value.errors()[0]["ctx"]["expected"])
    assert expected.replace("'", "").replace(" or ", ", ").split(", ") == [metric.name for metric in metrics]
    head = "name: x\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n"
    published = {metric.name: 0.5 for metric in metrics}
    assert load_text(f"{head}published: {json.dumps(published)}\n").published == published


def test_mlflow_points(metrics: Sequence[Metric]) -> None:
    keys = {point.key for point in parent_points(make_chain(), 5, reference=[1.0] * 5)}
    assert {name for metric in metrics for name in (metric.name, f"final/{metric.name}")} <= keys


def test_mlflow_description(metrics: Sequence[Metric]) -> None:
    more: dict[str, Any] = {"strategies": ["naive"], "stream_length": 5, "commit": "a" * 64, "uri": "x", "model": None}
    lines = description([[1.0]], history()[-1], **more).splitlines()
    for metric in metrics:
        (line,) = (line for line in lines if line.startswith(f"{metric.title}  ") or line == metric.title)
        assert line.endswith(metric_text(metric.name, history()[-1][metric.name]))


def test_mlflow_figure(metrics: Sequence[Metric]) -> None:
    (axes,) = metrics_drawing(history(), title="x").axes
    shown = {text.get_text() for text in axes.texts}
    assert {f"{m.title}  {metric_text(m.name, history()[-1][m.name])}" for m in metrics} <= shown


def test_prometheus(metrics: Sequence[Metric]) -> None:
    readings = Readings()
    for commit in make_chain():
        readings.take(CommitWritten(commit.document()))
    # Joint training is not looked for there.
    wanted = {m.name for m in metrics if m.unit.endswith("fraction") and m.scope != "reference"}
    assert set(readings.metrics) == wanted


@pytest.mark.parametrize("table", [compare_lines, cost_lines])
def test_comparison(metrics: Sequence[Metric], table: Callable[[Sequence[Compared]], list[str]]) -> None:
    one = Compared("x", [record(), record()])
    head, row = table([one])
    shown = [m for m in metrics if m.unit.endswith("fraction") == (table is compare_lines)]
    assert head.split("  ")[0] == "pipeline" and row.startswith("x ")
    for metric in shown:
        assert metric.title in head
    assert set(one.to_json()["metrics"]) == {metric.name for metric in metrics}


def test_search(metrics: Sequence[Metric]) -> None:
    for metric in metrics:
        line = trial_line(record(), metric.name)
        assert f"{metric.title} {metric_text(metric.name, history()[-1][metric.name])}" in line


def test_markdown_table(metrics: Sequence[Metric]) -> None:
    names = [row.split("`")[1] for row in metrics_table().splitlines()[2:]]
    assert names == [metric.name for metric in metrics]


def test_documentation(metrics: Sequence[Metric]) -> None:
    """The page of the reference is made from the records, and the site has it."""
    namespace = runpy.run_path(str(ROOT / "docs" / "generators" / "metric_table.py"))
    page = namespace["page"]()
    for metric in metrics:
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{metric.name}` |"))
        assert f"| {metric.unit} | {metric.better} |" in row and metric.source in row
    assert "reference/metrics.md" in (ROOT / "docs" / "mkdocs.yml").read_text()
    assert '"reference/metrics.md": metric_table.page()' in (ROOT / "docs" / "reference_pages.py").read_text()
