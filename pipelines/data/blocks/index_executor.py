"""Who looks at the files of an index: threads of this process, or what is passed in, such as tasks of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pipelines.data.blocks.block_index import IndexedFile

MOST_THREADS = 16


class Executor(Protocol):
    """Looks at files, wherever it does so, and gives what was found in the order of the files."""

    def __call__(
        self, look: Callable[[IndexedFile], IndexedFile], files: Sequence[IndexedFile], /
    ) -> Iterator[IndexedFile]:
        """What `look` returns for each file, in their order.

        Args:
            look: can be pickled, and is safe in several threads; it raises DataError.

        Raises:
            DataError: that of the first file, in their order, that has one.
        """
        ...


def in_threads(
    look: Callable[[IndexedFile], IndexedFile], files: Sequence[IndexedFile], most: int = MOST_THREADS
) -> Iterator[IndexedFile]:
    """As `Executor`, by at most so many threads of this process."""
    threads = min(len(files), most, 2 * (os.cpu_count() or 1))
    if threads < 2:
        yield from map(look, files)
        return
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(look, files)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
