"""Writes commits in the background, so that the upload of one experience overlaps the training of the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

from orchestrator.checkpointing.checkpoint import remove_checkpoints
from orchestrator.checkpointing.snapshot import Snapshot, write_snapshot
from orchestrator.events import CommitWritten, Event

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage


class Committer:
    """One upload at a time, in order: a commit is written after its parent, and a ref moves only forward.

    At most one snapshot waits while another is written, so that memory stays bounded.
    """

    def __init__(
        self, lineage: Lineage, ref: str | None, on_event: Callable[[Event], object], *, write: bool = True
    ) -> None:
        """
        Args:
            ref: the name that moves to every new commit, or None.
            on_event: gets an event for every commit written.
            write: False on ranks that leave the writing to another.
        """
        self._lineage, self._ref, self._on_event, self._write = lineage, ref, on_event, write
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="everlearn-commit")
        self._pending: Future[Commit] | None = None
        current = lineage.ref(ref) if ref and write else None
        self._generation = current.generation if current else None

    def submit(self, snapshot: Snapshot) -> None:
        """Write a snapshot in the background; waits for the one before.

        Raises:
            StorageError: the snapshot before could not be written.
        """
        if not self._write:
            return
        self.wait()
        self._pending = self._pool.submit(self._commit, snapshot)

    def wait(self) -> None:
        """Wait until what was submitted is written. Raises as `submit`."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def __enter__(self) -> Committer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.wait()
            elif self._pending is not None:
                self._pending.exception()
        finally:
            self._pool.shutdown()

    def _commit(self, snapshot: Snapshot) -> Commit:
        started = time.monotonic()
        commit = write_snapshot(snapshot, self._lineage)
        remove_checkpoints(self._lineage, commit.id)
        if self._ref is not None:
            self._generation = self._lineage.advance(self._ref, commit.id, self._generation).generation
        self._on_event(CommitWritten(commit.document(), time.monotonic() - started))
        return commit
