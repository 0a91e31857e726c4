"""What a run leaves behind, as an object and as the JSON document of `everlearn run --json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunResult:
    """The outcome of taking a model through a stream.

    Attributes:
        pipeline: the pipeline's name.
        lineage: commit ids, oldest first, one for each experience.
        score_matrix: R[i][j], the score on experience j's test set after training on experience i; accuracies are in
            [0, 1]; None where it was not evaluated. With `evaluate` in the pipeline file, rows are sparse: in JSON, an
            object of the experiences that were evaluated.
        metrics: the stream's metrics by name (`strategies.metrics`); None where one is not defined, such as
            forgetting after a single experience.
        trained: experiences trained by this run.
        reused: experiences whose commits were there already.
        seconds: wall time of the run.
        tracking: {"uri": tracking server, "run_id": MLflow run or None if it could not be written}.
        history: the metrics after each experience; the last are `metrics`.
        class_accuracy: by output unit, over all test sets, after the last experience.
        score: name of the score in the matrix.
        matrices: as the score matrix, of each of the pipeline's further metrics by name.
        capabilities: whether each capability of the pipeline was kept or lost after the last experience
            (`orchestrator.lineage.capability_record.CapabilityRecord`); None: it has none.
        class_names: the name of the class of each output unit; None: classes have numbers.
        confusion_matrix: samples by the unit that is right (row) and the one that answered; None: not counted.
        task_labels: how test samples got their task, "given" or "inferred", for strategies that ask for it.
    """

    pipeline: str
    lineage: list[str]
    score_matrix: Sequence[Sequence[float | None]]
    metrics: dict[str, float | None]
    trained: int
    reused: int
    seconds: float
    tracking: dict[str, str | None] = field(default_factory=lambda: {"uri": None, "run_id": None})
    history: list[dict[str, float | None]] = field(default_factory=list)
    class_accuracy: dict[int, float] = field(default_factory=dict)
    confusion_matrix: list[list[int]] | None = None
    task_labels: str | None = None
    class_names: list[str] | None = None
    score: str = "accuracy"
    matrices: Mapping[str, Sequence[Sequence[float | None]]] = field(default_factory=dict)
    capabilities: list[dict[str, Any]] | None = None

    @property
    def accuracy_matrix(self) -> Sequence[Sequence[float | None]]:
        """The matrix of accuracies: the score matrix, or that of a further metric; empty where there is none."""
        return self.score_matrix if self.score == "accuracy" else self.matrices.get("accuracy", [])

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints: plain data, with null for what is not a finite number."""
        from strategies.metrics import metrics_for, metrics_in, score_in

        listed = {one.name: one for one in (*metrics_for([score_in(self.metrics)]), *metrics_in(self.metrics))}
        if any(listed[name].scope == "scores" for name in listed):  # an objective without classes has no answers
            listed = {name: one for name, one in listed.items() if name in self.metrics}
        first = [name for name, one in listed.items() if one.scope == "matrix"]
        others = [name for name in listed if name not in first]
        matrix = "accuracy_matrix" if self.score == "accuracy" else "score_matrix"

        return {
            "pipeline": self.pipeline,
            "lineage": list(self.lineage),
            matrix: _rows(self.score_matrix),
            **{name: _finite(self.metrics.get(name)) for name in first},
            "trained": self.trained,
            "reused": self.reused,
            "seconds": self.seconds,
            "tracking": {"uri": self.tracking.get("uri"), "run_id": self.tracking.get("run_id")},
            **{name: _finite(self.metrics.get(name)) for name in others},
            "class_accuracy": {str(unit): value for unit, value in self.class_accuracy.items()},
            "class_names": self.class_names,
            "confusion_matrix": self.confusion_matrix,
            "task_labels": self.task_labels,
            "history": {name: [_finite(metrics.get(name)) for metrics in self.history] for name in listed},
            "score": self.score,
            "matrices": {name: _rows(rows) for name, rows in self.matrices.items()},
            **({} if self.capabilities is None else {"capabilities": self.capabilities}),
        }


def _rows(matrix: Sequence[Sequence[float | None]]) -> list[list[float | None] | dict[str, float]]:
    from orchestrator.lineage.sparse_row import SparseRow, to_plain

    return [to_plain(row) if isinstance(row, SparseRow) else [_finite(value) for value in row] for row in matrix]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
