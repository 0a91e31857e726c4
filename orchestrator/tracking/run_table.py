"""The columns of an experiment's run table that show what was learned and forgotten, as a view that MLflow shares.

MLflow's own table shows no metrics before a person picks some. A tag of the experiment holds a view, which a link
names; `everlearn ui` opens it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.tracking.metric_points import key_of

VIEW = "everlearn"
"""Name of the view."""

_TAG = f"mlflow.sharedViewState.{VIEW}"
# What MLflow's own table has, which it does not fill in where a view lacks it.
_DEFAULTS: dict[str, Any] = {
    "columnOrder": [],
    "columnWidths": {},
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsHiddenMode": "FIRST_10_RUNS",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": True,
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}


def columns(score: str) -> list[str]:
    """The columns for runs whose matrix holds a score."""
    # The table sorts them by name: those of a child run lie between those of its parent.
    names = (f"average_{score}", f"eval/{score}", "forgetting", f"worst_{score}")
    return [f"metrics.`{key_of(name, slashes=True)}`" for name in names]


def show_columns(client: Any, experiment: str, score: str) -> None:
    """Let the experiment's view have the columns of a score, beside those that it has. Again: no change.

    Args:
        client: as `open_client` gives it.
    """
    held = client.get_experiment(experiment).tags.get(_TAG)
    known = _columns(held)
    wanted = list(dict.fromkeys([*known, *columns(score)]))
    if held is None or wanted != known:
        client.set_experiment_tag(experiment, _TAG, json.dumps(_DEFAULTS | {"selectedColumns": wanted}))


def _columns(held: str | None) -> Sequence[str]:
    """The columns of a stored view; none where Everlearn did not write it."""
    try:
        found = json.loads(held or "{}")["selectedColumns"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in found]
