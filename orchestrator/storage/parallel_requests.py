"""Several requests in flight at once: over a network waiting dominates."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def in_parallel(action: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> list[_Out]:
    """`action` of every item, in order. A failure is raised when what runs has ended; the rest is not begun."""
    items = list(items)
    if len(items) < 2:
        return [action(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        futures = [pool.submit(action, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def in_order(action: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> Iterator[_Out]:
    """As `in_parallel`, of more than there is memory for: at most `threads` of them are begun and not taken yet."""
    with ThreadPoolExecutor(threads) as pool:
        begun: deque[Future[_Out]] = deque()
        try:
            for item in items:
                if len(begun) == threads:
                    yield begun.popleft().result()
                begun.append(pool.submit(action, item))
            while begun:
                yield begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
