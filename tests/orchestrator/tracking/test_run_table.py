"""The columns of an experiment's run table."""

from __future__ import annotations

import json

import pytest

from orchestrator.tracking.mlflow_client import connect, experiment_id
from orchestrator.tracking.run_table import VIEW, columns, show_columns


@pytest.mark.parametrize("held", [None, "not JSON", "[]", "{}"])
def test_a_view_has_the_columns_of_every_score(uri: str, held: str | None) -> None:
    client = connect(uri)
    experiment, tag = experiment_id(client, uri, "digits"), f"mlflow.sharedViewState.{VIEW}"
    if held is not None:
        client.set_experiment_tag(experiment, tag, held)
    for score in ("accuracy", "recall@precision=0.5", "accuracy"):
        show_columns(client, experiment, score)
    found = json.loads(client.get_experiment(experiment).tags[tag])
    both = [*columns("accuracy"), *columns("recall@precision=0.5")]
    assert found["selectedColumns"] == list(dict.fromkeys(both))
    assert "metrics.`average_recall_at_precision_0.5`" in found["selectedColumns"]
