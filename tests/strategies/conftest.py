"""Worker processes, kept for all tests of this folder; one thread for each, as in a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch
from hypothesis import settings

from tests.processes import Processes

torch.set_num_threads(1)
settings.register_profile("repeatable", settings.get_profile("quick"), derandomize=True)
if settings.get_current_profile_name() == "quick":
    settings.load_profile("repeatable")


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
