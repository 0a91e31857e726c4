"""Serving on Ray Serve: replicas that answer, and one deployment that decides which commit all of them serve.

The decision is made once, by `CommitDecider`: it follows the ref, and calls the model of a commit before any replica
loads it. A replica never reads the ref. A replica that fails is replaced by one that serves the commit that was decided
on, even if the ref names another commit by then. If the decider fails, replicas keep answering. The new decider reads
the ref, and where that commit cannot be served, takes over the commit that the replicas serve. While replicas change
over, some answer from the one commit and some from the other: each answer, and each batch, comes from the commit that
it names.

`build` is what a RayService or a Serve config file imports.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.printable import say
from orchestrator.serving.batch_answers import Reply
from orchestrator.serving.bearer_token import read_token
from orchestrator.serving.http_service import MOST_BYTES, Limits, PredictionService
from orchestrator.serving.ref_follower import ServingEvent, ref_reader
from orchestrator.serving.request_body import Question
from orchestrator.serving.served_set import ServedSet, followers, turn_all
from orchestrator.serving.serving_metrics import ServingMetrics

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pipelines.config.schema import Pipeline

DECIDER, MODEL = "decider", "model"
"""Names of the two deployments."""
LOOK_S = 0.5
"""Seconds between two requests of a replica to the decider."""
FIRST_LOAD_S = 600.0
"""How long a replica waits for its first model before it starts without one, and is not ready."""


@dataclass(frozen=True)
class RaySettings:
    """How a pipeline is served.

    Attributes:
        ref: that is followed.
        every: seconds between two looks at the ref.
        replicas: that answer.
        batch: requests that go through the model together, at most.
        batch_wait: seconds that a request waits for others.
        most_bytes: of a request's body.
        token_file: on each node; None: the environment of the replicas may have a token.
        also: further refs that a request may name.
    """

    ref: str = "champion"
    every: float = 5.0
    replicas: int = 1
    batch: int = 16
    batch_wait: float = 0.002
    most_bytes: int = MOST_BYTES
    token_file: str | None = None
    also: Sequence[str] = ()


class _Follower:
    """A thread that calls `turn` until the process ends."""

    def __init__(self, turn: Callable[[], object], every: float) -> None:
        self._turn, self._every = turn, every
        self.first_turn = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follow", daemon=True)
        self._thread.start()

    def check(self) -> None:
        if not self._thread.is_alive():
            raise RuntimeError("nothing follows the ref any more")

    def _follow(self) -> None:
        pause = threading.Event()
        while True:
            self._turn()
            self.first_turn.set()
            pause.wait(self._every)


class CommitDecider:
    """Decides which commit is served."""

    def __init__(self, pipeline: Pipeline, settings: RaySettings) -> None:
        from orchestrator.checkpointing.shared_weights import SharedWeights
        from orchestrator.storage.open_by_uri import open_store

        lineage = Lineage(open_store(pipeline.storage), pipeline.name)
        self._models = ServedSet(SharedWeights(pipeline).load, settings.ref, settings.also)
        self._events: list[dict[str, Any]] = []
        self._served: dict[str, str] = {}
        self._followers = followers(self._models, lambda word: ref_reader(lineage, word), self._note)
        self._counted = _event_counter(pipeline.name, settings.ref)
        self._thread = _Follower(self._turn, settings.every)

    async def decided(self, word: str, serving: str | None = None) -> str | None:
        """The commit to serve for a ref; None: there is none.

        Args:
            serving: what the replica that asks serves for it now.
        """
        if serving is not None:
            self._served[word] = serving
        await asyncio.to_thread(self._thread.first_turn.wait)
        return self._models.commits().get(word, self._served.get(word))

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """What happened, without the first `after` events."""
        return self._events[after:]

    def check_health(self) -> None:
        """Raises where nothing follows the ref any more: Ray Serve then starts another decider."""
        self._thread.check()

    def _turn(self) -> None:
        turn_all(self._followers)
        for word, swap in self._models.swaps.items():
            served = self._served.get(word)
            if swap.current is None and served is not None:
                # This decider is new, and what the ref names cannot be served: what replicas serve was tried out.
                with suppress(Exception):
                    swap.move_to(served)

    def _note(self, ref: str, event: ServingEvent) -> None:
        self._events.append(asdict(event))
        self._counted(event.kind)
        say(f"{event.kind:<9}{event.text}", file=sys.stderr)


class ModelReplica:
    """Answers requests with the commit that was decided on."""

    def __init__(self, decider: Any, pipeline: Pipeline, settings: RaySettings) -> None:
        """
        Args:
            decider: the handle of `CommitDecider`.
        """
        from ray import serve

        from orchestrator.checkpointing.shared_weights import SharedWeights

        self._models = ServedSet(SharedWeights(pipeline).load, settings.ref, settings.also)
        self._decider = decider
        replica = serve.get_replica_context().replica_tag
        self._metrics = ServingMetrics({"pipeline": pipeline.name, "ref": settings.ref, "replica": str(replica)})
        moves = followers(self._models, lambda word: partial(self._decided, word), self._note)
        self._batched = serve.batch(max_batch_size=settings.batch, batch_wait_timeout_s=settings.batch_wait)(
            self._batch_answerer()
        )
        self._service = PredictionService(
            self._answer,
            lambda: self._models.current,
            self._metrics,
            ref=settings.ref,
            pipeline=pipeline.name,
            commits=self._models.commits,
            limits=Limits(read_token(settings.token_file), settings.most_bytes),
            on_error=_log,
        )
        self._thread = _Follower(lambda: turn_all(moves), LOOK_S)
        # Requests come when this is done: a replica that replaces another one has its model by then.
        self._thread.first_turn.wait(FIRST_LOAD_S)

    async def __call__(self, request: Request) -> Response:
        """One request over HTTP."""
        return await self._service.respond(request)

    def reconfigure(self, config: dict[str, Any]) -> None:
        """Other batches, by `user_config` of the deployment, without a restart: `batch`, `batch_wait`."""
        if "batch" in config:
            self._batched.set_max_batch_size(int(config["batch"]))
        if "batch_wait" in config:
            self._batched.set_batch_wait_timeout_s(float(config["batch_wait"]))

    def check_health(self) -> None:
        """Raises where this replica does not follow any more: Ray Serve then replaces it."""
        self._thread.check()

    def _decided(self, word: str) -> str | None:
        serving = self._models.commits().get(word)
        found: str | None = self._decider.decided.remote(word, serving).result(timeout_s=60)
        return found

    def _batch_answerer(self) -> Callable[[list[Question]], Any]:
        async def answer(questions: list[Question]) -> list[Reply]:
            return await asyncio.to_thread(self._models.answer, questions)

        return answer

    async def _answer(self, question: Question) -> Reply:
        reply: Reply = await self._batched(question)
        return reply

    def _note(self, ref: str, event: ServingEvent) -> None:
        self._metrics.event(event.kind, event.commit, answers=ref == self._models.ref)
        say(f"{event.kind:<9}{event.text}", file=sys.stderr)


def application(pipeline: Pipeline, settings: RaySettings) -> Any:
    """The two deployments as an application of Ray Serve."""
    from ray import serve

    decider = serve.deployment(
        name=DECIDER, num_replicas=1, ray_actor_options={"num_cpus": 0}, health_check_period_s=2
    )(CommitDecider)
    model = serve.deployment(
        name=MODEL,
        num_replicas=settings.replicas,
        max_ongoing_requests=max(64, 4 * settings.batch),
        health_check_period_s=2,
        graceful_shutdown_timeout_s=30,
        user_config={"batch": settings.batch, "batch_wait": settings.batch_wait},
    )(ModelReplica)
    return model.bind(decider.bind(pipeline, settings), pipeline, settings)


def build(arguments: dict[str, Any]) -> Any:
    """The application of a pipeline file, for `import_path` in a Serve config file or a RayService.

    Args:
        arguments: `file`, a path that every node of the cluster has, and those of `RaySettings` that are not at their
            default.

    Raises:
        PipelineError: the file, or an argument, is wrong.
    """
    from pipelines.config.load import load_pipeline
    from pipelines.config.pipeline_errors import PipelineError

    given = dict(arguments)
    file = given.pop("file", None)
    try:
        settings = RaySettings(**given)
    except TypeError:
        known = ", ".join(RaySettings.__dataclass_fields__)
        raise PipelineError(f"arguments of the application: unknown ones in {sorted(given)}; known: {known}") from None
    if not isinstance(file, str):
        raise PipelineError("arguments of the application: file must be the path of a pipeline file")
    return application(load_pipeline(file, import_code=False), settings)


def _event_counter(pipeline: str, ref: str) -> Callable[[str], None]:
    """Counts events among the metrics that Ray exports; `ray_everlearn_serve_events_total` there."""
    from ray.util.metrics import Counter

    counter = Counter(
        "everlearn_serve_events",
        description="What happened to the served commit: swapped, refused, unreachable, reachable, waiting",
        tag_keys=("pipeline", "ref", "kind"),
    )
    counter.set_default_tags({"pipeline": pipeline, "ref": ref})
    return lambda kind: counter.inc(1, tags={"kind": kind})


def _log(error: Exception) -> None:
    """What failed in a request, with its traceback, into the log of the replica."""
    import traceback

    from orchestrator.redact import redact

    say(redact("".join(traceback.format_exception(error)).rstrip()), file=sys.stderr)
