"""Seconds of work on a device, and ratios of pieces of work in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch

from tests.benchmarks.pairs import Ratio, Work, settle


def wall_seconds(work: Work, device: str) -> float:
    """Wall time until the device has done it."""
    _finish(device)
    start = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - start


def ratios(works: list[Work], device: str, rounds: tuple[int, int] = (9, 41)) -> list[Ratio]:
    """The first piece of work against each of the others, in wall time, in so many rounds (see `pairs.settle`)."""
    least, most = rounds if device == "cuda" else (2, 2)
    return settle(works, clock=partial(wall_seconds, device=device), spread=0.015, least=least, most=most)


def milliseconds(work: Callable[[], object], device: str, repeat: int, rounds: int = 7) -> float:
    """Of one of `repeat` calls in a row: the fastest of the rounds."""

    def often() -> None:
        for _ in range(repeat):
            work()

    often()
    return min(wall_seconds(often, device) for _ in range(rounds if device == "cuda" else 1)) / repeat * 1e3


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
