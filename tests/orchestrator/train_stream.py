"""Training without Ray, in the process of the test: what the cluster has to equal."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.events import Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.in_process import train_in_process
from pipelines.build import make_stream
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream


def train(
    pipeline: Pipeline, stream: Stream | None = None, on_event: Callable[[Event], object] = lambda event: None
) -> list[str]:
    """Train a stream into the pipeline's storage, with one worker, no claim and no tracking; the commits' ids.

    Args:
        stream: None: the pipeline's.
        on_event: gets the events.
    """
    stream = stream or make_stream(pipeline)
    plan = make_plan(pipeline, stream)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    train_in_process(pipeline, stream, plan, lineage, on_event)
    return [planned.id for planned in plan]
