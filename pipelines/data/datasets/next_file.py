"""Reading the file of the next experience in another thread, while this one is learned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Read = TypeVar("Read")


class NextFile(Generic[Read]):
    """At most one file that is being read, or was read and not asked for yet. A pickle carries none."""

    def __init__(self) -> None:
        self._index: int | None = None
        self._read: Future[Read] = Future()

    def start(self, index: int, read: Callable[[], Read]) -> None:
        """Read file `index` in another thread, unless that is done already."""
        if index == self._index:
            return
        self._index, self._read = index, Future()
        # A process that ends does not wait for it.
        threading.Thread(target=_run, args=(read, self._read), name="everlearn-read", daemon=True).start()

    def take(self, index: int) -> Future[Read] | None:
        """What `start` read or still reads, with its error if it has one; None: it was not asked for this file."""
        if index != self._index:
            return None
        self._index = None
        return self._read

    def __reduce__(self) -> tuple[type[NextFile[Read]], tuple[()]]:
        return NextFile, ()


def _run(read: Callable[[], Read], found: Future[Read]) -> None:
    try:
        found.set_result(read())
    except BaseException as error:
        found.set_exception(error)
