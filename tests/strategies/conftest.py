"""Worker processes, kept for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.processes import Processes


@pytest.fixture(scope="session")
def processes() -> Iterator[Callable[[int], Processes]]:
    """From a number of ranks to the processes that are those ranks."""
    started: dict[int, Processes] = {}
    with ExitStack() as stack:

        def get(size: int) -> Processes:
            if size not in started:
                started[size] = stack.enter_context(Processes(size))
            return started[size]

        yield get
