"""Drift as MLflow shows it: the effects over the stream, and the columns of a table by how much they have changed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.tracking.experience_colours import FEW
from orchestrator.tracking.heat_map import DPI, FADED, INK
from orchestrator.tracking.mlflow_client import connect, tracking_errors
from orchestrator.tracking.painted_text import png_of
from orchestrator.tracking.run_view import PIPELINE, RUN
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pipelines.config.schema import Pipeline
    from pipelines.drift.stream_drift import ExperienceDrift

OVER_TIME, COLUMNS = "drift_over_time.png", "drift_columns.png"
_STABLE, _CHANGED = 0.1, 0.25
_MOST = 20


def over_time_figure(name: str, drifts: Sequence[ExperienceDrift], errors: Mapping[int, float]) -> bytes:
    """The effect of each test along the stream, what is usual there, and which were drift, as PNG.

    Args:
        name: of the pipeline.
        drifts: at least one.
        errors: share of wrong answers before an experience was learned, by its index.
    """
    figure = _figure(8, 5.6 if errors else 4.2)
    axes, *more = figure.subplots(2, sharex=True, height_ratios=[3, 1]) if errors else [figure.add_subplot()]
    experiences = [one.experience for one in drifts]
    for colour, test in zip(FEW, drifts[0].tests, strict=False):
        verdicts = [one.tests[test] for one in drifts]
        called = test if test == "labels" else f"inputs, {test}"
        axes.plot(experiences, [v.effect for v in verdicts], color=colour, marker="o", markersize=4, label=called)
        axes.plot(experiences, [v.usual for v in verdicts], color=colour, linewidth=1, linestyle=":")
        drifted = [(x, v.effect) for x, v in zip(experiences, verdicts, strict=True) if v.drift]
        if drifted:
            axes.plot(*zip(*drifted, strict=True), "o", color=colour, markersize=10, fillstyle="none")
    axes.set_ylabel("effect")
    for below in more:
        # A share of errors is no effect: it has a scale of its own.
        known = sorted(errors)
        below.plot(known, [errors[i] for i in known], color=INK, linewidth=1.2, marker="s", markersize=3)
        below.set_ylabel("errors before\nit was learned")
    for one in (axes, *more):
        _plain(one)
    last = (axes, *more)[-1]
    last.set_xlabel("experience")
    last.set_xticks(experiences if len(experiences) <= _MOST else experiences[:: len(experiences) // 10])
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _headline(axes, name, "how much each experience differs; dotted: usual so far; ringed: drift")
    return png_of(figure)


def columns_figure(name: str, drift: ExperienceDrift) -> bytes:
    """The columns of an experience that have changed most, by their population stability index, as PNG."""
    columns = drift.columns[:_MOST][::-1]
    figure = _figure(8, 1.4 + 0.28 * len(columns))
    axes = figure.add_subplot()
    places = range(len(columns))
    axes.barh(places, [column.stability for column in columns], color=FEW[0], height=0.7)
    axes.set_yticks(places)
    # Names come from files: matplotlib must not read a dollar sign in one as the start of a formula.
    axes.set_yticklabels([column.name for column in columns], parse_math=False)
    for limit in (_STABLE, _CHANGED):
        axes.axvline(limit, color=INK, linewidth=0.8, linestyle=":", zorder=0)
    for place, column in zip(places, columns, strict=True):
        axes.annotate(
            f"{column.stability:.2f}, {column.distance:.2f} sd", (column.stability, place), (4, 0), fontsize=8,
            textcoords="offset points", va="center", color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.margins(x=0.25)
    axes.set_xlim(0, max(axes.get_xlim()[1], 1.2 * _CHANGED))
    axes.set_xlabel(f"population stability index; dotted: {_STABLE} small, {_CHANGED} large")
    _plain(axes)
    _headline(
        axes, name, f"columns of experience {drift.experience} against those before it: index, distance in their sd"
    )
    return png_of(figure)


def show_drift(pipeline: Pipeline, drifts: Sequence[ExperienceDrift], errors: Mapping[int, float]) -> str | None:
    """Log the figures to the newest run of the pipeline; where they were, they are replaced.

    Args:
        errors: as `over_time_figure`.

    Returns:
        The id of the run; None: there is nothing to show.

    Raises:
        PipelineError: MLflow has no run of the pipeline.
        TrackingError: MLflow cannot be used.
    """
    if not drifts:
        return None
    pictures = {OVER_TIME: over_time_figure(pipeline.name, drifts, errors)}
    if drifts[-1].columns:
        pictures[COLUMNS] = columns_figure(pipeline.name, drifts[-1])
    with tracking_errors(pipeline.tracking.uri):
        client = connect(pipeline.tracking.uri)
        experiment = client.get_experiment_by_name(pipeline.tracking.experiment)
        query = f"tags.`{PIPELINE}` = '{pipeline.name}' and tags.`{RUN}` != ''"
        runs = client.search_runs([experiment.experiment_id], query, max_results=1) if experiment is not None else []
        if not runs:
            raise PipelineError(f"MLflow has no run of pipeline {pipeline.name}: `everlearn publish FILE` makes it")
        with tempfile.TemporaryDirectory() as folder:
            for file, data in pictures.items():
                path = Path(folder, file)
                path.write_bytes(data)
                client.log_artifact(runs[0].info.run_id, str(path), "figures")
    found: str = runs[0].info.run_id
    return found


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout="constrained")


def _headline(axes: Axes, title: str, subtitle: str) -> None:
    # Names come from the pipeline file: matplotlib must not read a dollar sign in one as the start of a formula.
    for text, offset, size, weight, colour in (
        (title, 28 if subtitle else 12, 13, "bold", INK),
        (subtitle, 11, 10, "normal", FADED),
    ):
        axes.annotate(
            text, (0, 1), (0, offset), xycoords="axes fraction", textcoords="offset points", fontsize=size,
            fontweight=weight, color=colour, parse_math=False, annotation_clip=False,
        )  # fmt: skip
