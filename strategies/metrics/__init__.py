"""How well a model learns and remembers along a stream: the metrics of continual learning.

One record per metric (`Metric`, in `metric_registry`) says its name, unit, direction, definition and source, and how it
is computed from what is known after an experience (`Evidence`). Everything that names or shows metrics takes them from
`all_metrics()`: `--json`, the terminal, `tune.metric`, MLflow, Prometheus, figures, and the table in the documentation,
which `python -m strategies.metrics` prints. `RunningMetrics` follows a stream row by row; `average_accuracy(R, k)` and
the other functions of `definitions` take a whole accuracy matrix. Import from this package; names load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies.metrics.answer_counts import expected_calibration_error, negative_flips
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
    from strategies.metrics.markdown_table import metrics_table
    from strategies.metrics.metric import Better, Metric, Scope, Unit
    from strategies.metrics.metric_registry import all_metrics, find_metric, metric_names
    from strategies.metrics.running_metrics import RunningMetrics

_HOMES = {
    "answer_counts": ("expected_calibration_error", "negative_flips"),
    "definitions": (
        "average_accuracy",
        "average_incremental_accuracy",
        "backward_transfer",
        "forgetting",
        "forward_transfer",
        "intransigence",
        "learning_accuracy",
        "summary",
    ),
    "evidence": ("Evidence", "as_matrix"),
    "markdown_table": ("metrics_table",),
    "metric": ("Better", "Metric", "Scope", "Unit"),
    "metric_registry": ("all_metrics", "find_metric", "metric_names"),
    "running_metrics": ("RunningMetrics",),
}

__all__ = [
    "Better",
    "Evidence",
    "Metric",
    "RunningMetrics",
    "Scope",
    "Unit",
    "all_metrics",
    "as_matrix",
    "average_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "expected_calibration_error",
    "find_metric",
    "forgetting",
    "forward_transfer",
    "intransigence",
    "learning_accuracy",
    "metric_names",
    "metrics_table",
    "negative_flips",
    "summary",
]


def __getattr__(name: str) -> Any:
    home = next((module for module, held in _HOMES.items() if name in held), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
