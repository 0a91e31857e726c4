"""`python -m tests.faults.victim`: forks processes that take a pipeline through its stream, and are killed on demand.

A fork server, so that a process costs milliseconds: it has imported everything, and has no threads. Reads one request
a line, a JSON object, and answers each with one line when all of its processes have ended:

    {"pipeline": YAML, "ranks": n, "moment": a moment of tests.faults.moments or null, "victim": rank, "seconds": limit,
     "fence": [key, token] of the claim under which they write, or null, "pause": [start, length] in seconds, or null,
     "jump": seconds by which their clocks are wrong}

A pause stops rank `victim`, or all if that is -1, by SIGSTOP, and lets them continue by SIGCONT. Clocks are behind by
the jump, after a third of a second ahead, on odd ranks the other way round: an offset to `time.time`.

    {"statuses": [exit status of each rank, negative for a signal], "events": [...], "errors": [text of each rank]}

`Victims` is the other end.
"""

from __future__ import annotations

import gc
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import sklearn.datasets  # noqa: F401
import torch
import torch.distributed as dist
import torch.nn.parallel

import orchestrator.training.rank
from orchestrator.events import CheckpointWritten, CommitWritten, Event, Resumed, to_dict
from orchestrator.lineage.fencing import Fence
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import PlannedCommit, make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream, build_stream
from strategies.loop.process_group import Group
from tests.faults.moments import KilledStore, Moment

NOTED = (Resumed, CheckpointWritten, CommitWritten)


@dataclass(frozen=True)
class Ending:
    """How the processes of one request ended.

    Attributes:
        statuses: exit status of each rank; negative for a signal.
        events: of rank 0, of the kinds in `NOTED`, as plain data.
        errors: tracebacks of the ranks that failed by themselves.
    """

    statuses: list[int]
    events: list[dict[str, Any]]
    errors: list[str]

    @property
    def killed(self) -> bool:
        return -signal.SIGKILL in self.statuses

    @property
    def finished(self) -> bool:
        return all(status == 0 for status in self.statuses)


class Victims:
    """Starts the fork server, and sends it requests.

    Args:
        loaded: modules that it imports first, for processes of which each would import them.
    """

    def __init__(self, *loaded: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim", *loaded],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Victims:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.kill()
        self._server.communicate()

    def live(
        self,
        pipeline: str,
        moment: str | None = None,
        *,
        ranks: int = 1,
        victim: int = 0,
        seconds: float | None = None,
        fence: Fence | None = None,
        pause: tuple[float, float] | None = None,
        jump: float = 0.0,
    ) -> Ending:
        """Take a pipeline on from where it is.

        Args:
            pipeline: its YAML.
            moment: at which rank `victim` is killed.
            seconds: after which all are killed, wherever they are; None: at most a minute.
            fence: of the claim under which they write.
            pause: when rank `victim`, or all if that is -1, is stopped, and for how long.
            jump: by how much clocks are wrong.
        """
        request: dict[str, Any] = {"pipeline": pipeline, "moment": moment, "ranks": ranks, "victim": victim}
        request |= {"seconds": seconds or 60, "pause": pause, "jump": jump}
        request["fence"] = (fence.key, fence.token) if fence else None
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Ending(**json.loads(self._server.stdout.readline()))


@lru_cache(maxsize=4)
def prepared(text: str) -> tuple[Pipeline, Stream, list[PlannedCommit]]:
    """A pipeline, its stream and its plan: the same for all processes."""
    pipeline = load_text(text, "pipeline.yaml")
    stream = build_stream(pipeline.stream, pipeline.seed)
    return pipeline, stream, make_plan(pipeline, stream)


def serve() -> None:
    """Answer requests until there are no more."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if request["ranks"] > 1:
            # DistributedDataParallel imports torch's compiler: here once, instead of in every process.
            importlib.import_module("torch._dynamo")
        prepared(request["pipeline"])
        gc.freeze()  # a child that looks for garbage would copy all that it shares with this process
        with tempfile.TemporaryDirectory(prefix="victims-") as folder:
            answer = _live(request, Path(folder))
        print(json.dumps(answer), flush=True)


def _live(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    ranks: dict[int, int] = {}
    for rank in range(request["ranks"]):
        child = os.fork()
        if child == 0:
            _be(request, rank, folder)
        ranks[child] = rank
    statuses = [0] * request["ranks"]
    began = time.monotonic()
    deadline = began + request["seconds"]
    start, length = request["pause"] or (math.inf, 0.0)
    signals = [(began + start, signal.SIGSTOP), (began + start + length, signal.SIGCONT)]
    while ranks:
        if time.monotonic() > signals[0][0]:
            _send(signals.pop(0)[1], [child for child, rank in ranks.items() if request["victim"] in (rank, -1)])
            signals.append((math.inf, signal.SIGCONT))
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            if time.monotonic() > deadline:
                _kill(ranks)
            time.sleep(0.002)
            continue
        statuses[ranks.pop(child)] = os.waitstatus_to_exitcode(status)
        if status:
            # As Ray Train does: a group that has lost a rank is taken down.
            _kill(ranks)
    events = folder / "events"
    return {
        "statuses": statuses,
        "events": [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else [],
        "errors": [path.read_text() for path in sorted(folder.glob("error-*"))],
    }


def _kill(children: Iterable[int]) -> None:
    _send(signal.SIGKILL, children)


def _send(what: signal.Signals, children: Iterable[int]) -> None:
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, what)


def _set_clock(jump: float) -> None:
    real, began = time.time, time.monotonic()
    time.time = lambda: real() + (jump if time.monotonic() > began + 0.3 else -jump)


def _be(request: dict[str, Any], rank: int, folder: Path) -> NoReturn:
    """One rank's life, in the child."""
    status = 1
    try:
        torch.set_num_threads(1)
        if request["jump"]:
            _set_clock(-request["jump"] if rank % 2 else request["jump"])
        if request["ranks"] > 1:
            meeting = (folder / "meeting").as_uri()
            dist.init_process_group(
                "gloo", init_method=meeting, rank=rank, world_size=request["ranks"], timeout=timedelta(seconds=30)
            )
        events = os.open(folder / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

        def on_event(event: Event) -> None:
            if isinstance(event, NOTED):
                os.write(events, json.dumps(to_dict(event)).encode() + b"\n")

        moment = Moment(request["moment"] if rank == request["victim"] else None)
        make_learner = orchestrator.training.rank.make_learner
        orchestrator.training.rank.make_learner = lambda *a, **k: moment.watch(make_learner(*a, **k))
        pipeline, stream, plan = prepared(request["pipeline"])
        fence = Fence(*request["fence"]) if request["fence"] else None
        RankTraining(
            pipeline=pipeline,
            stream=stream,
            plan=plan,
            lineage=Lineage(KilledStore(open_store(pipeline.storage), moment), pipeline.name, fence),
            group=Group.current(),
            device=torch.device("cpu"),
            on_event=on_event,
        ).run()
        status = 0
    except BaseException:
        (folder / f"error-{rank}").write_text(traceback.format_exc())
    finally:
        # Not the interpreter's own end: this process shares its files with the server.
        os._exit(status)


if __name__ == "__main__":
    serve()
