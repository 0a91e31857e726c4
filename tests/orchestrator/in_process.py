"""Training without Ray, in the process of the test: what the cluster has to equal."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.events import Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import Session
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream, build_stream
from strategies.loop.process_group import Group


def train(
    pipeline: Pipeline, stream: Stream | None = None, on_event: Callable[[Event], object] = lambda event: None
) -> list[str]:
    """Train a stream into the pipeline's storage, with one worker, no claim and no tracking; the commits' ids.

    Args:
        stream: None: the pipeline's.
        on_event: gets the events.
    """
    import torch

    stream = stream or build_stream(pipeline.stream, pipeline.seed)
    plan = make_plan(pipeline, stream)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker with one CPU, whose sums have to be the same to the last bit
    try:
        Session(pipeline, stream, plan, lineage, Group(), torch.device("cpu"), on_event).run()
    finally:
        torch.set_num_threads(threads)
    return [planned.id for planned in plan]
