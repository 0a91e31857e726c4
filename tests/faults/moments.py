"""Moments at which a process can be killed, by counting what it does; nothing in the product knows of them.

A moment is written `WHERE N`: at the N-th time that this process gets there.

    step N                  after the backward pass, before the optimiser's step
    consolidation N         in a forward pass of the strategies' `after_experience` (or at its end, if they make none)
    evaluation N            in a forward pass of the evaluation
    blob | commit | ref | checkpoint | announcement | sweep, followed by
        before N            before the store is asked to write (`sweep`: to remove a checkpoint)
        half N              in the middle of writing: the bytes are in a temporary file
        after N             when it is written, before the call returns to the writer

One more does not end the process: at `error N` the store refuses the N-th write.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch.optim.optimizer import register_optimizer_step_pre_hook

from orchestrator.errors import StorageError
from orchestrator.lineage.fencing import is_note
from orchestrator.storage.store import Store
from strategies.api.data import Experience
from strategies.loop.evaluation import Evaluation
from strategies.loop.learner import Learner


def kill_self() -> None:
    """The end of this process, as by an out-of-memory kill: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Moment:
    """Counts, and ends the process, or does what else is to be done, when it is time. None: never."""

    def __init__(self, text: str | None, act: Callable[[], Any] = kill_self) -> None:
        self._where, _, number = (text or " 0").rpartition(" ")
        self._number = int(number)
        self._seen: Counter[str] = Counter()
        self._act = act

    def due(self, where: str) -> bool:
        """Whether this is the moment."""
        self._seen[where] += 1
        return where == self._where and self._seen[where] == self._number

    def reached(self, where: str) -> None:
        """This happens now."""
        if self.due(where):
            self._act()

    def at_the_next_flush(self) -> None:
        """It is time when the process next flushes a file, with the bytes written and the file without its name."""
        flush = os.fsync

        def act_and_flush(file: Any) -> None:
            os.fsync = flush
            self._act()
            flush(file)

        os.fsync = act_and_flush

    def watch(self, learner: Learner) -> Learner:
        """Notice the steps, consolidations and evaluations of a learner."""
        consolidate, assess = learner.consolidate, learner.assess

        def consolidate_and_tell() -> None:
            with self._forward(learner, "consolidation"):
                consolidate()

        def assess_and_tell(experiences: Sequence[Experience], seen: int = 0) -> Evaluation:
            with self._forward(learner, "evaluation"):
                return assess(experiences, seen)

        def step(*_: Any) -> None:
            # A learner that is tried out before the first experience takes steps, too.
            if learner.length:
                self.reached("step")

        register_optimizer_step_pre_hook(step)
        made: Any = learner
        made.consolidate, made.assess = consolidate_and_tell, assess_and_tell
        return learner

    @contextmanager
    def _forward(self, learner: Learner, where: str) -> Iterator[None]:
        """Every forward pass in the block is such a moment; its end is one if there was none."""
        before = self._seen[where]
        hook = learner.model.register_forward_hook(lambda *_: self.reached(where))
        try:
            yield
        finally:
            hook.remove()
        if self._seen[where] == before:
            self.reached(where)


class KilledStore:
    """A store in which this process may be killed."""

    def __init__(self, store: Store, moment: Moment) -> None:
        self._store, self._moment = store, moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, key: str, data: bytes) -> None:
        return self._counted(_kind(key), lambda: self._store.put(key, data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._counted(_kind(key), lambda: self._store.put_if_absent(key, data))

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        # What announces a write (see `orchestrator.lineage.fencing`) is not the write.
        kind = "announcement" if is_note(data) else _kind(key)
        return self._counted(kind, lambda: self._store.compare_and_swap(key, data, version))

    def delete(self, key: str) -> None:
        return self._counted("sweep", lambda: self._store.delete(key))

    def _counted(self, kind: str, write: Callable[[], Any]) -> Any:
        if self._moment.due("error"):
            raise StorageError("the store refuses this write: a test asked for it")
        self._moment.reached(f"{kind} before")
        if self._moment.due(f"{kind} half"):
            self._moment.at_the_next_flush()
        answer = write()
        self._moment.reached(f"{kind} after")
        return answer


def _kind(key: str) -> str:
    return {"runs": "checkpoint", "commits": "commit", "blobs": "blob"}.get(key.split("/")[1], "ref")


with suppress(ImportError):
    # A process that is killed in a test is no news for the kernel's crash reports.
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
