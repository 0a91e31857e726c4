"""What MLflow shows of a search or a comparison as a whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orchestrator.progress.number_format import metric_text
from orchestrator.tracking.search_view import Closing
from orchestrator.tuning.search_figures import front_figure, importance_figure, setting_figure
from orchestrator.tuning.search_text import compare_lines, cost_lines, settings_text
from orchestrator.tuning.setting_importance import importance

if TYPE_CHECKING:
    from orchestrator.tuning.search_result import CompareResult, TuneResult
    from orchestrator.tuning.search_space import Space


def search_closing(result: TuneResult, space: Space) -> Closing:
    """The best settings, the figures, and all trials as a file."""
    metric, best = result.metrics[0], result.best
    files: dict[str, bytes] = {"trials.json": _json(result.to_json()["trials"])}
    for path, domain in space.items():
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in path)
        files[f"figures/objective_{name}.png"] = setting_figure(result.trials, path, domain, metric, best.number)
    shares = importance(result.trials, space, metric)
    if shares:
        files["figures/importance.png"] = importance_figure(shares, metric)
        files["importance.json"] = _json(shares)
    if len(result.metrics) > 1:
        files["figures/pareto_front.png"] = front_figure(result.trials, result.metrics, result.front)
    found = metric_text(metric, best.validation.get(metric), best.validation)
    tested = metric_text(metric, best.metrics.get(metric), best.metrics)
    note = [
        f"**Best: trial {best.number}**, {metric.replace('_', ' ')} {found} "
        "on the validation split, "
        f"{tested} on the test sets after training on all of the data; "
        f"commit `{best.lineage[-1][:12]}`.",
        f"```text\n{settings_text(best.settings)}\n```",
        f"{len(result.trials)} trials; {result.trained} experiences trained, {result.reused} reused.",
    ]
    if shares:
        ranked = sorted(shares.items(), key=lambda item: -item[1])
        note.append("Importance: " + ", ".join(f"{path} {100 * share:.0f} %" for path, share in ranked))
    metrics = {f"best/{name}": value for name, value in best.metrics.items() if value is not None}
    metrics |= {f"best/validation_{name}": value for name, value in best.validation.items() if value is not None}
    metrics |= {"progress/trained": float(result.trained), "progress/reused": float(result.reused)}
    time = max((record.ended or 0 for record in result.trials), default=0)
    return Closing(
        note="\n\n".join(note), time=time, best=best.number, commit=best.lineage[-1], metrics=metrics, files=files
    )


def comparison_closing(result: CompareResult) -> Closing:
    """The table."""
    costs = cost_lines(result.pipelines)
    table = "\n".join([*compare_lines(result.pipelines), *(["", *costs] if costs else [])])
    metrics = {
        f"{kind}/{one.name}/{name}": value
        for one in result.pipelines
        for kind, values in (("mean", one.metrics), ("deviation", one.deviation))
        for name, value in values.items()
        if value is not None
    }
    time = max((run.ended or 0 for one in result.pipelines for run in one.runs), default=0)
    files = {"comparison.json": _json(result.to_json()["pipelines"]), "comparison.txt": f"{table}\n".encode()}
    return Closing(note=f"```text\n{table}\n```", time=time, metrics=metrics, files=files)


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1).encode()
