"""The files of a run in MLflow: the pipeline file, the score matrix, and the figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.chain_metrics import confusion_matrix
from orchestrator.lineage.sparse_row import to_plain
from orchestrator.tracking.confusion_figure import confusion_figure
from orchestrator.tracking.matrix_figures import matrix_figure
from orchestrator.tracking.metric_figure import metrics_figure
from orchestrator.tracking.score_curves import curves_figure
from strategies.metrics import ACCURACY, find_score

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.running_matrix import Course
    from pipelines.config.schema import Pipeline

MOST_DRAWN = 200
"""Experiences of a sparse matrix that is drawn."""


def matrix_name(course: Course) -> str:
    """The first part of the names of the matrix and of its figures."""
    return "accuracy" if (find_score(course.scores[0].name) or ACCURACY).name == ACCURACY.name else "score"


def _drawn(course: Course) -> bool:
    """A long sparse matrix is not drawn: a picture has the square of the stream's length."""
    return not course.partial or len(course.rows) <= MOST_DRAWN


def pictures(run_id: str, course: Course) -> dict[str, str]:
    """What the pictures of the matrix and of the curves show, and where MLflow's pages find them."""
    if not _drawn(course):
        return {}
    kind = matrix_name(course)
    title = (find_score(course.scores[0].name) or ACCURACY).title.capitalize()
    where = f"get-artifact?run_uuid={run_id}&path=figures%2F{kind}"
    return {
        f"{title} after each experience, on each": f"{where}_matrix.png",
        f"{title} on each experience as others follow": f"{where}_curves.png",
    }


def write_files(
    folder: Path,
    pipeline: Pipeline,
    chain: Sequence[Commit],
    course: Course,
    history: Sequence[Mapping[str, float | None]],
    *,
    subtitle: str,
    experiences: int,
    class_names: Sequence[str] | None,
) -> None:
    """Write them into a folder.

    Args:
        chain: the commits, oldest first; at least one.
        course: has followed the chain.
        history: the stream's metrics after each commit.
        subtitle: of the figures.
        experiences: in the stream, of which not all may be trained.
        class_names: of the output units; None: they have numbers.
    """
    look: dict[str, Any] = {"title": pipeline.name, "subtitle": subtitle}
    score, kind = find_score(course.scores[0].name) or ACCURACY, matrix_name(course)
    document: dict[str, Any] = {
        "pipeline": pipeline.name,
        "lineage": [commit.id for commit in chain],
        f"{kind}_matrix": [to_plain(row) for row in course.rows],
        "baseline": list(course.baseline),
        "metrics": history[-1],
    }
    if kind == "score":
        document["score"] = course.scores[0].name
    figures = folder / "figures"
    figures.mkdir()
    (folder / "pipeline.yaml").write_text(_yaml(pipeline.to_document(masked=True)))
    (folder / f"{kind}_matrix.json").write_text(json.dumps(document, indent=1))
    classes = [commit.experience.classes for commit in chain]
    if _drawn(course):
        matrix = matrix_figure(course.rows, classes=classes, score=score, experiences=experiences, **look)
        (figures / f"{kind}_matrix.png").write_bytes(matrix)
        curves = curves_figure(course.rows, score=score, experiences=experiences, **look)
        (figures / f"{kind}_curves.png").write_bytes(curves)
    (figures / "metrics.png").write_bytes(metrics_figure(history, **look))
    confusion = confusion_matrix(chain[-1])
    if confusion is not None:
        names = None if class_names is None else list(class_names)
        counts = {"commit": chain[-1].id, "class_names": names, "confusion_matrix": confusion}
        (folder / "confusion_matrix.json").write_text(json.dumps(counts))
        (figures / "confusion_matrix.png").write_bytes(confusion_figure(confusion, names=names, **look))


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=120)
