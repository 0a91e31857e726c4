"""The worker processes that the tests of several ranks use."""

from __future__ import annotations

import os
import time

import pytest
import torch
import torch.distributed as dist

from tests.processes import Processes, WorkerError


def rank_and_sum(value: float) -> tuple[int, float]:
    total = torch.tensor(value * (dist.get_rank() + 1))
    dist.all_reduce(total)
    return dist.get_rank(), float(total)


def fail_on_last() -> None:
    if dist.get_rank() == dist.get_world_size() - 1:
        raise ValueError("this rank fails")
    dist.barrier()


def die_on_last() -> None:
    if dist.get_rank() == dist.get_world_size() - 1:
        os._exit(7)
    dist.barrier()


def sleep_on_last() -> None:
    if dist.get_rank() == dist.get_world_size() - 1:
        time.sleep(600)  # longer than a test may take


def pid() -> int:
    return os.getpid()


def test_a_function_runs_on_every_rank_and_the_processes_stay() -> None:
    with Processes(2) as processes:
        assert processes.run(rank_and_sum, 2.0) == [(0, 6.0), (1, 6.0)]
        assert processes.run(pid) == processes.run(pid)


def test_errors_and_failures_are_reported_and_fresh_processes_take_over() -> None:
    with Processes(2) as processes:
        with pytest.raises(WorkerError, match=r"rank 1 of 2: (.|\n)*ValueError: this rank fails"):
            processes.run(fail_on_last)
        with pytest.raises(WorkerError, match="rank 1 of 2: the process ended with exit code 7"):
            processes.run(die_on_last)
        assert processes.run(rank_and_sum, 1.0) == [(0, 3.0), (1, 3.0)]
        processes.timeout = 0.5
        with pytest.raises(WorkerError, match=r"no answer from rank 1 of 2 within 0\.5 s"):
            processes.run(sleep_on_last)
