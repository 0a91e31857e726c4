"""After a decision, webhooks are told, and MLflow's registered model follows. Neither makes the command fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline


def follow_champion(pipeline: Pipeline, lineage: Lineage, *, since: int) -> None:
    """Tell the webhooks of the pipeline file of the decisions after number `since`."""
    from orchestrator.lineage.decisions import newest_first
    from orchestrator.updates.webhooks import notify

    def warn(text: str) -> None:
        say(f"warning: {text}", err=True)

    fresh = [decision for decision in newest_first(lineage) if decision.number > since][::-1]
    if pipeline.gate is not None:
        notify(pipeline.gate.notify, pipeline.name, fresh, warn)
