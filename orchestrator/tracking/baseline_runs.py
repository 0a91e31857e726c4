"""The runs to compare a run with: the same stream learned with nothing against forgetting, and by joint training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.joint_reference import REFERENCE, reference_ids

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit

BASELINES = {"naive": "naive", "joint training": REFERENCE}
"""The names of the baselines on the page of a run, and their strategies."""

_PARENT = "mlflow.parentRunId"


def baseline_links(client: Any, chain: Sequence[Commit], run_id: str, commit_tag: str) -> dict[str, str]:
    """The page of each baseline's run, by what people call it, as far as MLflow has them.

    They are known by their commits, whose ids follow from those of the chain: data, model, settings and seed are the
    same.

    Args:
        client: as `open_client` gives it.
        chain: the commits of the run, oldest first.
        run_id: of the run itself, which is no baseline of its own.
        commit_tag: the tag that holds a commit's id.
    """
    places = [experiment.experiment_id for experiment in client.search_experiments()]
    links: dict[str, str] = {}
    for name, strategy in BASELINES.items():
        last = reference_ids(chain, strategy=strategy)[-1]
        found = client.search_runs(places, f"tags.`{commit_tag}` = '{last}'") if last != chain[-1].id else []
        # The run of the experience, whose parent is the baseline's.
        owners = {run.data.tags[_PARENT]: run.info.experiment_id for run in found if _PARENT in run.data.tags}
        owner = min((one for one in owners.items() if one[0] != run_id), default=None)
        if owner is not None:
            links[name] = f"#/experiments/{owner[1]}/runs/{owner[0]}"
    return links
