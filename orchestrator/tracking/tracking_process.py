"""The tracking of a run in a process of its own, forked from the command before it holds data or threads.

Figures, the export of the model and MLflow's client are seconds of Python. In a thread they would take turns with the
training; here they have a core of their own, and what is loaded already is shared. The process ends when the command
does, however that ends: it then leaves MLflow as a thread would.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from orchestrator.errors import OrchestratorError
from orchestrator.events import Event, StepDone, TrackingOpened, Warned
from orchestrator.redact import redact
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from orchestrator.lineage.commit import Commit
    from orchestrator.progress.run_reporter import Reporter
    from orchestrator.tracking.run_tracker import Tracker
    from pipelines.config.schema import Pipeline

# Seconds that the end of a run may wait: those after which a `Tracker` gives up, and some for the messages.
LONGEST = 65.0


class TrackingProcess:
    """A forked process that waits for a run to follow. `end` is safe at any time."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid, self.pipe = pid, pipe

    @classmethod
    def fork(cls) -> Self | None:
        """None where the process would gain nothing or is not safe to fork: one core, other threads, no fork."""
        if not sys.platform.startswith("linux") or threading.active_count() > 1 or len(os.sched_getaffinity(0)) < 2:
            return None
        here, there = Pipe()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # What is loaded stays: neither process has to look through it for garbage, and to copy it for that.
        gc.freeze()
        pid = os.fork()
        if not pid:
            here.close()
            _serve(there)
        there.close()
        return cls(pid, here)

    def end(self) -> None:
        """End the process at once, and wait for that: its CPU time is then part of the command's."""
        # A thread that still waits for its answers would keep the pipe open.
        with contextlib.suppress(OSError):
            socket.socket(fileno=os.dup(self.pipe.fileno())).shutdown(socket.SHUT_RDWR)
        self.pipe.close()
        with contextlib.suppress(ChildProcessError):
            # A process that was stopped, or hangs in a file system, ends when it can.
            for _ in range(100):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
                time.sleep(0.01)


class RemoteTracker:
    """As `orchestrator.tracking.run_tracker.Tracker`, by a `TrackingProcess`. Its methods return at once.

    Attributes:
        uri, run_id, complete: as those of a `Tracker`.
    """

    def __init__(
        self,
        process: TrackingProcess,
        pipeline: Pipeline,
        *,
        example: Callable[[], Tensor],
        reporter: Reporter | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            example: gives a few inputs as the model takes them.
            options: further arguments of a `Tracker`, as plain data.
        """
        from orchestrator.tracking.mlflow_client import resolve_uri

        self.uri = redact(resolve_uri(pipeline.tracking.uri))
        self.run_id: str | None = None
        self.complete = False
        self._process, self._example, self._reporter = process, example, reporter
        self._sent = 0
        self._status: str | None = None
        self._quiet = False
        self._ended = threading.Event()
        self._answered = False
        self._outbox: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._outbox.put(("open", pipeline, options))
        self._threads = [
            threading.Thread(target=target, name=f"everlearn-tracking-{name}", daemon=True)
            for name, target in (("send", self._send), ("receive", self._receive))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._status = "KILLED" if issubclass(kind, (KeyboardInterrupt, SystemExit)) else "FAILED"
        self.close()

    def losses(self, events: Iterable[StepDone]) -> None:
        """Take progress within an experience."""
        self._outbox.put(("losses", list(events)))

    def commit(self, chain: Sequence[Commit]) -> None:
        """Take the commits that are there, oldest first, from experience 0."""
        self._outbox.put(("commits", list(chain[self._sent :])))
        self._sent = len(chain)

    def finish(self, chain: Sequence[Commit], model: object = None) -> None:
        """Take the last chain: the run has succeeded. The process makes the model itself."""
        self.commit(chain)
        self._status = "FINISHED"

    def close(self) -> bool:
        """Wait until the process has written the rest and has ended; returns `complete`."""
        if self._quiet:
            return self.complete
        self._outbox.put(("close", self._status))
        self._ended.wait(LONGEST)
        if not self._answered:
            self._report(
                Warned(
                    f"tracking: the process that writes to MLflow at {self.uri} has ended or hangs; "
                    "`everlearn publish FILE` writes what is missing"
                )
            )
        self._quiet = True
        self._outbox.put(None)
        return self.complete

    def _send(self) -> None:
        # A process that has ended is noticed where its answers are received.
        with contextlib.suppress(OSError, ValueError):
            while (message := self._outbox.get()) is not None:
                self._process.pipe.send_bytes(pickle.dumps(message))

    def _receive(self) -> None:
        with contextlib.suppress(EOFError, OSError, ValueError):
            while not self._answered:
                message: tuple[Any, ...] = pickle.loads(self._process.pipe.recv_bytes())
                what, *values = message
                if what == "event":
                    self._take(values[0])
                elif what == "example":
                    self._outbox.put(("example", self._taken_example()))
                else:
                    self.complete, self.run_id, self._answered = *values, True
        self._ended.set()

    def _take(self, event: Event) -> None:
        if isinstance(event, TrackingOpened):
            self.run_id = event.run_id
        self._report(event)

    def _taken_example(self) -> Tensor | Exception:
        try:
            return self._example()
        except (OrchestratorError, PipelineError) as error:
            return type(error)(str(error))
        except Exception as error:
            return OrchestratorError(f"{type(error).__name__}: {error}")

    def _report(self, event: Event) -> None:
        if self._reporter is not None and not self._quiet:
            # An error in a reporter must not end the tracking, and tracking must not end the run.
            with contextlib.suppress(Exception):
                self._reporter.event(event)


def _serve(pipe: Connection) -> NoReturn:
    """The process: follow one run, and end."""
    status = 1
    try:
        # Ctrl-C reaches all processes of a terminal: the command decides what is written then.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(nothing, number)
        _Served(pipe).follow()
        status = 0
    except (EOFError, OSError):
        pass
    finally:
        os._exit(status)


class _Served:
    """The tracking of one run, in the process."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._turn = pipe, threading.Lock()
        self._examples: queue.SimpleQueue[Tensor | Exception] = queue.SimpleQueue()
        self._chain: list[Commit] = []
        self._pipeline: Pipeline | None = None

    def follow(self) -> None:
        from orchestrator.tracking.run_tracker import Tracker

        _, pipeline, options = pickle.loads(self._pipe.recv_bytes())
        import torch

        torch.set_num_threads(1)
        self._pipeline = pipeline
        tracker = Tracker(pipeline, reporter=self, reference=self._reference(pipeline), alone=True, **options)  # type: ignore[arg-type]
        tracker.__enter__()
        while True:
            # The end of the command ends the process here, whatever the tracking is doing.
            what, value = pickle.loads(self._pipe.recv_bytes())
            if what == "losses":
                tracker.losses(value)
            elif what == "commits":
                self._chain = [*self._chain, *value]
                tracker.commit(self._chain)
            elif what == "example":
                self._examples.put(value)
            else:
                threading.Thread(target=self._close, args=(tracker, value), daemon=True).start()

    def event(self, event: Event) -> None:
        self._say("event", event)

    def _close(self, tracker: Tracker, status: str | None) -> None:
        if status == "FINISHED":
            tracker.finish(self._chain, self._model)
        complete = tracker.close(status=status)
        self._say("done", complete, tracker.run_id)

    def _model(self) -> tuple[nn.Module, Tensor]:
        from orchestrator.checkpointing.load_model import model_and_inputs
        from orchestrator.lineage.lineage import Lineage
        from orchestrator.storage.open_by_uri import open_store

        assert self._pipeline is not None
        self._say("example")
        example = self._examples.get()
        if isinstance(example, Exception):
            raise example
        lineage = Lineage(open_store(self._pipeline.storage), self._pipeline.name)
        return model_and_inputs(self._pipeline, example, lineage, self._chain[-1])

    def _say(self, *message: Any) -> None:
        with self._turn:
            self._pipe.send_bytes(pickle.dumps(message))

    @staticmethod
    def _reference(pipeline: Pipeline) -> Callable[[Sequence[Commit]], list[float | None]]:
        from orchestrator.lineage.joint_reference import Reference
        from orchestrator.lineage.lineage import Lineage
        from orchestrator.storage.open_by_uri import open_store

        return Reference(Lineage(open_store(pipeline.storage), pipeline.name))
