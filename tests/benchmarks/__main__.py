"""`make bench`: what Everlearn costs, as ratios against plain loops measured in the same run.

`make bench ARGS="steps scale"` runs these sections only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch

from tests.benchmarks import blobs, evaluation, memory, parts, recovery, scale, search, start, steps


def _steps() -> None:
    steps.main()
    print(f"The exact Fisher of 2000 samples, one core: {steps.fisher_seconds():.2f} s")


def _evaluation() -> None:
    value = evaluation.measure()
    print(
        f"Evaluation of 10 test sets against one plain pass: {value.ratio:.3f}   [{value.low:.3f} .. {value.high:.3f}]"
    )


def _memory() -> None:
    print("Peak memory, by the length of the stream (20 MB an experience)")
    for length, peak in memory.measure().items():
        print(f"  {length:3} experiences {peak:6.0f} MB")


def _parts() -> None:
    print("A run of 5 experiences of MNIST, one epoch, one worker, by part")
    for name, seconds in parts.measure().items():
        print(f"  {name:56} {seconds:6.2f} s")


SECTIONS: dict[str, Callable[[], None]] = {
    "start": start.main,
    "steps": _steps,
    "evaluation": _evaluation,
    "memory": _memory,
    "parts": _parts,
    "search": search.main,
    "recovery": recovery.main,
    "blobs": blobs.main,
    "scale": scale.main,
}


def main() -> None:
    chosen = sys.argv[1:] or list(SECTIONS)
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        sys.exit(f"no such section: {', '.join(unknown)}. There are: {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    for name in chosen:
        SECTIONS[name]()
        print(flush=True)


if __name__ == "__main__":
    main()
