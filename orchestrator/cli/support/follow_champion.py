"""After a decision: send it to webhooks, and update MLflow's registered model. Neither makes the command fail."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.lineage.decisions import Decision
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def follow_champion(pipeline: Pipeline, lineage: Lineage, *, since: int, stream: Stream | None = None) -> None:
    """Send the decisions after number `since` to the webhooks of the pipeline file, and update MLflow.

    Args:
        stream: to export a model that MLflow lacks; None: it is not exported.
    """
    from orchestrator.lineage.decisions import newest_first
    from orchestrator.updates.webhooks import notify

    fresh = list(takewhile(lambda decision: decision.number > since, newest_first(lineage)))[::-1]
    if pipeline.gate is not None:
        notify(pipeline.gate.notify, pipeline.name, fresh, warn)
    if fresh:
        show_in_mlflow(pipeline, lineage, stream)


def show_in_mlflow(pipeline: Pipeline, lineage: Lineage, stream: Stream | None) -> None:
    """Update MLflow's registered model from the decisions, where tracking is configured; a failure is a warning.

    Args:
        stream: as `follow_champion`.
    """
    from orchestrator.checkpointing.load_model import model_maker
    from orchestrator.errors import OrchestratorError
    from orchestrator.lineage.decisions import newest_first
    from orchestrator.tracking.champion_alias import is_shown, is_tracked, show_champion, shown
    from pipelines.config.pipeline_errors import PipelineError

    if not is_tracked(pipeline):
        return
    try:
        known = shown(pipeline)
        fresh: list[Decision] = []
        for decision in newest_first(lineage):
            # One that MLflow shows stands for all before it; the newest says which commit is the champion.
            if fresh and is_shown(decision, known):
                break
            fresh.append(decision)
        show_champion(pipeline, fresh[::-1], model_maker(pipeline, stream, lineage), warn=warn)
    except (OrchestratorError, PipelineError) as error:
        warn(f"{str(error).splitlines()[0]}; `everlearn publish FILE` lets MLflow follow")


def warn(text: str) -> None:
    """Print a warning."""
    say(f"warning: {text}", err=True)
