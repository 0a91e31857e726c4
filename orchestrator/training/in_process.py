"""Training in this process: with one worker and no cluster named, nothing of Ray is needed, and none of it is loaded.

What is learned is the same as with one worker of Ray Train, to the bit: both run `orchestrator.training.rank`, with the
same number of threads.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.events import Event
from orchestrator.training.worker_error import raised_here

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.plan import PlannedCommit
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.scaling_section import ScalingSpec
    from pipelines.data.streams import Stream

Handler = Callable[[Event], object]


def runs_here(
    scaling: ScalingSpec, address: str | None, environment: Mapping[str, str], *, connected: bool, gpus: int
) -> bool:
    """Whether a run needs no Ray.

    Args:
        address: of a Ray cluster, as it was given; `local` asks for a local Ray.
        environment: RAY_ADDRESS names a cluster, too.
        connected: this process is connected to a Ray cluster already.
        gpus: GPUs that this process sees.
    """
    if address or environment.get("RAY_ADDRESS") or connected:
        return False
    if scaling.maximum > 1 or set(scaling.resources) - {"CPU"}:
        return False
    return not scaling.gpu or gpus > 0


def runs_in_this_process(scaling: ScalingSpec, address: str | None) -> bool:
    """As `runs_here`, for this process as it is now."""
    ray = sys.modules.get("ray")
    gpus = 0
    if scaling.gpu:
        import torch

        gpus = torch.cuda.device_count()
    connected = ray is not None and bool(ray.is_initialized())
    return runs_here(scaling, address, os.environ, connected=connected, gpus=gpus)


def train_in_process(
    pipeline: Pipeline,
    stream: Stream,
    plan: Sequence[PlannedCommit],
    lineage: Lineage,
    handler: Handler,
    *,
    ref: str | None = "latest",
    reuse_adapters: bool = False,
    chain: Sequence[Commit] = (),
) -> None:
    """Train a pipeline's remaining experiences in this process.

    Args:
        lineage: where commits are kept, under the claim of the run.
        handler: gets the events, one at a time, in this thread or in the one that writes commits. An exception that it
            raises ends the training, and is raised here.
        ref: the name to move to every new commit, None for no name.
        reuse_adapters, chain: as in `RankTraining`.

    Raises:
        RunFailed: the training failed, such as by an error in a strategy of the user's own.
        StorageError, PipelineError, StrategyError.
    """
    events = _Events(handler)
    try:
        with _threads(max(1, int(pipeline.scaling.resources.get("CPU", 1)))):
            train_alone(
                pipeline,
                stream,
                plan,
                lineage,
                events,
                gpu=pipeline.scaling.gpu,
                ref=ref,
                reuse_adapters=reuse_adapters,
                chain=chain,
            )
    except Exception as error:
        if events.failure is not None:
            raise events.failure from None
        raise raised_here(error) from error
    if events.failure is not None:
        raise events.failure


def train_alone(
    pipeline: Pipeline,
    stream: Stream,
    plan: Sequence[PlannedCommit],
    lineage: Lineage,
    on_event: Handler,
    *,
    gpu: bool,
    ref: str | None,
    reuse_adapters: bool = False,
    chain: Sequence[Commit] = (),
) -> None:
    """Train as the only worker, with the threads that PyTorch has; errors are those of the training itself.

    Args:
        on_event: gets the events; `CommitWritten` in another thread than the others, at the same time as they.
        gpu: whether to train on the first GPU that this process sees.
        ref: the name to move to every new commit, None for no name.
        reuse_adapters, chain: as in `RankTraining`.
    """
    import torch

    from orchestrator.training.rank import RankTraining
    from strategies.loop.process_group import Group

    RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=plan,
        lineage=lineage,
        group=Group(),
        device=torch.device("cuda:0" if gpu else "cpu"),
        on_event=on_event,
        ref=ref,
        reuse_adapters=reuse_adapters,
        chain=chain,
    ).run()


class _Events:
    """Hands events on, one at a time.

    Attributes:
        failure: what the handler raised; from then on no event is handed on, and the training ends at its next one.
    """

    def __init__(self, handler: Handler) -> None:
        self.failure: Exception | None = None
        self._handler, self._turn, self._training = handler, threading.RLock(), threading.get_ident()

    def __call__(self, event: Event) -> None:
        with self._turn:
            if self.failure is None:
                try:
                    self._handler(event)
                except Exception as error:
                    self.failure = error
        # The thread that writes commits finishes the commit that it is writing.
        if self.failure is not None and threading.get_ident() == self._training:
            raise self.failure


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """As many threads of PyTorch as a worker of Ray Train has, for the time of the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
