"""Worker processes for tests of what several ranks do together: started once, then given one function after another."""

from __future__ import annotations

import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

# What workers need and is slow to import, torch's compiler included, which DistributedDataParallel imports.
PRELOADED = ["torch", "torch.distributed", "torch.func", "torch._dynamo", "scipy.optimize", "strategies.loop.learner"]
GRACE = 1.0


class WorkerError(Exception):
    """A function failed on one of the ranks, or a rank was killed or did not answer in time."""


class Processes:
    """`size` processes in one gloo group of torch.distributed. They start at the first `run`.

    After an error all of them are ended, and the next `run` starts fresh ones: a rank that failed has left the others
    waiting in the middle of a collective.

    Attributes:
        size: number of ranks.
        timeout: seconds that a function may take.
    """

    def __init__(self, size: int, timeout: float = 120.0) -> None:
        self.size = size
        self.timeout = timeout
        self._workers: list[tuple[BaseProcess, Connection]] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call `function(*args)`, a function at the top level of a module, on every rank.

        Returns:
            What each rank returned, by rank.

        Raises:
            WorkerError: with the tracebacks of the ranks that failed, killed ones first.
        """
        if not self._workers:
            self._start()
        try:
            message = pickle.dumps((function, args))
            for rank, (_, pipe) in enumerate(self._workers):
                try:
                    pipe.send_bytes(message)
                except OSError as error:
                    raise WorkerError(self._cause_of_end(rank)) from error
            return self._gather()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the processes."""
        for process, pipe in self._workers:
            pipe.close()
            process.terminate()
        for process, _ in self._workers:
            process.join(GRACE)
            if process.is_alive():
                process.kill()
                process.join()
        self._workers = []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _start(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._folder = tempfile.TemporaryDirectory(prefix="ranks-")
        meeting = (Path(self._folder.name) / "rendezvous").as_uri()
        for rank in range(self.size):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(there, rank, self.size, meeting, self.timeout), daemon=True)
            process.start()
            there.close()
            self._workers.append((process, here))

    def _gather(self) -> list[Any]:
        results: dict[int, Any] = {}
        failures: list[tuple[bool, str]] = []
        deadline = time.monotonic() + self.timeout
        while len(results) < self.size:
            waiting = {pipe: rank for rank, (_, pipe) in enumerate(self._workers) if rank not in results}
            ready = connection.wait(list(waiting), timeout=max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for pipe in ready:
                assert isinstance(pipe, Connection)
                rank = waiting[pipe]
                killed = False
                try:
                    failed, results[rank] = pickle.loads(pipe.recv_bytes())
                except (EOFError, OSError):
                    failed, killed, results[rank] = True, True, self._cause_of_end(rank)
                if failed:
                    failures.append((not killed, f"rank {rank} of {self.size}: {results[rank]}"))
                    deadline = min(deadline, time.monotonic() + GRACE)
        if failures:
            raise WorkerError("\n".join(text for _, text in sorted(failures)))
        if len(results) < self.size:
            missing = ", ".join(str(rank) for rank in range(self.size) if rank not in results)
            raise WorkerError(f"no answer from rank {missing} of {self.size} within {self.timeout:g} s")
        return [results[rank] for rank in range(self.size)]

    def _cause_of_end(self, rank: int) -> str:
        process, _ = self._workers[rank]
        process.join(GRACE)
        return f"the process ended with exit code {process.exitcode}"


def _serve(pipe: Connection, rank: int, size: int, meeting: str, timeout: float) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    joined = False
    while True:
        try:
            message = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            if not joined:
                dist.init_process_group(
                    "gloo", init_method=meeting, rank=rank, world_size=size, timeout=timedelta(seconds=timeout)
                )
                joined = True
            function, args = pickle.loads(message)
            answer = pickle.dumps((False, function(*args)))
        except BaseException:
            answer = pickle.dumps((True, traceback.format_exc()))
        with suppress(OSError):
            pipe.send_bytes(answer)
