"""The metrics of continual learning: how well a model learns and remembers along a stream.

One record per metric (`Metric`, in `metric_registry`) says its name, unit, direction, definition and source, and how it
is computed from what is known after an experience (`Evidence`). Everything that names or shows metrics takes them from
`all_metrics()`: `--json`, the terminal, `tune.metric`, MLflow, Prometheus, figures, and the table in the documentation,
which `python -m strategies.metrics` prints. `RunningMetrics` follows a stream row by row; `average_accuracy(R, k)` and
the other functions of `definitions` take a whole accuracy matrix. Import from this package; names load on first use.
"""

from typing import TYPE_CHECKING

from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from strategies.metrics.answer_counts import expected_calibration_error, negative_flips
    from strategies.metrics.class_scores import balanced_accuracy, macro_f1, recalls, worst_recall
    from strategies.metrics.definitions import (
        average_accuracy,
        average_incremental_accuracy,
        backward_transfer,
        forgetting,
        forward_transfer,
        intransigence,
        learning_accuracy,
        summary,
    )
    from strategies.metrics.evidence import Evidence, as_matrix
    from strategies.metrics.hidden_classes import data_warning, result_warning
    from strategies.metrics.markdown_table import metrics_table, scores_table
    from strategies.metrics.metric import Better, Metric, Scope, Unit
    from strategies.metrics.metric_registry import all_metrics, metric_names
    from strategies.metrics.running_metrics import RunningMetrics
    from strategies.metrics.score import Score
    from strategies.metrics.score_metrics import find_metric, metrics_for, metrics_in, score_in
    from strategies.metrics.score_registry import ACCURACY, all_scores, declare, find_score

_HOMES = {
    "result_warning": ".hidden_classes",
    "data_warning": ".hidden_classes",
    "worst_recall": ".class_scores",
    "recalls": ".class_scores",
    "macro_f1": ".class_scores",
    "balanced_accuracy": ".class_scores",
    "Better": ".metric",
    "Evidence": ".evidence",
    "Metric": ".metric",
    "RunningMetrics": ".running_metrics",
    "Scope": ".metric",
    "Unit": ".metric",
    "all_metrics": ".metric_registry",
    "as_matrix": ".evidence",
    "average_accuracy": ".definitions",
    "average_incremental_accuracy": ".definitions",
    "backward_transfer": ".definitions",
    "expected_calibration_error": ".answer_counts",
    "find_metric": ".score_metrics",
    "metrics_for": ".score_metrics",
    "metrics_in": ".score_metrics",
    "score_in": ".score_metrics",
    "Score": ".score",
    "ACCURACY": ".score_registry",
    "all_scores": ".score_registry",
    "declare": ".score_registry",
    "find_score": ".score_registry",
    "forgetting": ".definitions",
    "forward_transfer": ".definitions",
    "intransigence": ".definitions",
    "learning_accuracy": ".definitions",
    "metric_names": ".metric_registry",
    "metrics_table": ".markdown_table",
    "scores_table": ".markdown_table",
    "negative_flips": ".answer_counts",
    "summary": ".definitions",
}

__all__ = [
    "ACCURACY",
    "Better",
    "Evidence",
    "Metric",
    "RunningMetrics",
    "Scope",
    "Score",
    "Unit",
    "all_metrics",
    "all_scores",
    "as_matrix",
    "average_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "balanced_accuracy",
    "data_warning",
    "declare",
    "expected_calibration_error",
    "find_metric",
    "find_score",
    "forgetting",
    "forward_transfer",
    "intransigence",
    "learning_accuracy",
    "macro_f1",
    "metric_names",
    "metrics_for",
    "metrics_in",
    "metrics_table",
    "negative_flips",
    "recalls",
    "result_warning",
    "score_in",
    "scores_table",
    "summary",
    "worst_recall",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
