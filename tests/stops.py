"""`python -m tests.stops`: run, tune, forget, gc, copy are stopped by SIGSTOP at every request, and taken over there.

A process of its own holds a claim and works on a lineage. At its n-th request to the store, for every n, it stops
itself, as a laptop does that sleeps; in two of three rounds its clock is eleven days ahead or behind, by an offset to
`time.time` in that process alone. While it is stopped, another takes the claim over: forget, gc or another run. Then
it gets SIGCONT. It must end with `ClaimLost` or have nothing more to write, nothing that it writes may be seen, and no
object may hold a forgotten sample. Exit status 1 when an invariant was violated.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.errors import OrchestratorError
from orchestrator.lineage import claim as claims
from orchestrator.lineage.claim import Claim
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.parallel_requests import in_parallel
from tests.orchestrator.lineage.test_fencing import FORGOTTEN, Stopped, holds_forgotten, written
from tests.orchestrator.maintenance.lineages import grow

WRITERS = ("run", "tune", "forget", "gc", "copy")
CLOCKS = {"": 0.0, "clock forward": 1e6, "clock back": -1e6}
LOST = 3


def work(writer: str, lineage: Lineage, folder: Path) -> None:
    """What is stopped."""
    if writer == "run":
        with claims.claimed(lineage, "run") as claim:
            grow(lineage.fenced(claim.fence), 3, variant=1)
    elif writer == "tune":
        # Trials write at the same time, each its own commits, under the claim of their search.
        with claims.claimed(lineage, "search") as claim:
            made = lineage.fenced(claim.fence)
            in_parallel(lambda trial: grow(made, 2, variant=trial, ref=None), (1, 2), 2)
    elif writer == "forget":
        forget(lineage, range(3))
    elif writer == "gc":
        collect(lineage, keep=1, minimum_age=0)
    else:
        copy(Lineage(open_store(str(folder / "source")), "digits"), lineage)


def stop_here() -> None:
    """Stop this process before this thread goes on: a signal to the process may stop it some instructions later."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def stopped(writer: str, number: int, jump: float, folder: Path, take_over: Callable[[Lineage], Any]) -> str | None:
    """One stop at the n-th request: what is wrong after it, empty for nothing; None when there is no such request."""
    lineage = Lineage(open_store(str(folder / "store")), "digits")
    grow(Lineage(open_store(str(folder / "source")), "digits"), 2)
    if writer != "copy":
        grow(lineage, 2)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            real = time.time
            time.time = lambda: real() + jump
            store: Any = Stopped(lineage.store, number, stop_here)
            work(writer, Lineage(store, "digits"), folder)
            status = 0
        except OrchestratorError:
            status = LOST
        finally:
            os._exit(status)
    if not os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]):
        return None
    held = holds(lineage, child)
    take_over(lineage)
    before = written(lineage)
    os.kill(child, signal.SIGCONT)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = [f"exit status {status}"] if status not in (0, LOST) else []
    if not held:
        return "; ".join(wrong)  # it had not begun, or had ended: what it does next is done under a claim of its own
    after = written(lineage)
    if writer == "forget" and take_over is not forgotten:
        # What it had promised is owed until somebody forgets again, and fsck says so. The list of ids may still have
        # been written, by compare-and-swap: it only grows.
        wrong += [
            f"fsck: {damage}" for damage in fsck(lineage).damage if "run everlearn forget again" not in damage.problem
        ]
        before |= {key: data for key, data in after.items() if key == "digits/forgotten.json"}
        forget(lineage, range(3))
    wrong += [f"fsck: {damage}" for damage in fsck(lineage).damage]
    # Blobs hold no samples unless they are announced, and are of no effect without their commit.
    new = [key for key, data in after.items() if before.get(key) != data and "/blobs/" not in key]
    wrong += [f"{key} was written after the takeover" for key in new]
    wrong += [f"{key} is gone" for key in before if key not in after]
    wrong += [f"{key} holds forgotten samples" for key in holds_forgotten(lineage) if take_over is forgotten]
    return "; ".join(wrong)


def holds(lineage: Lineage, process: int) -> bool:
    """Whether this process has a claim, and is at work."""
    found = [Holder.parse(lineage.store.get(key), key) for key in lineage.store.list("digits/claims/")]
    return any(one.token is not None and one.pid == process and not one.entering for one in found)


def forgotten(lineage: Lineage) -> None:
    """Every sample of experience 0 is forgotten."""
    forget(lineage, FORGOTTEN)


def collected(lineage: Lineage) -> None:
    """Garbage of any age is removed."""
    collect(lineage, minimum_age=0)


def another_run(lineage: Lineage) -> None:
    """Another run commits."""
    with claims.claimed(lineage, "run") as claim:
        grow(lineage.fenced(claim.fence), 2, variant=2)


TAKEOVERS = (forgotten, collected, another_run)


def stops(writers: tuple[str, ...], step: int = 1) -> tuple[Counter[str], list[str]]:
    """Every stop of these writers, each `step`-th of the requests; how many there were, and what was wrong."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    alone = mock.patch.object(claims, "_machine", lambda: None)  # nobody sees the other's process
    beats = mock.patch.object(Claim, "_renew", lambda self: None)  # a stopped process renews nothing
    with alone, beats, mock.patch.dict(os.environ, {"EVERLEARN_CLAIM_LEASE": "0.05"}):
        for writer in writers:
            for clock, jump in CLOCKS.items():
                # A run beside a search is allowed: it takes nothing over.
                for take_over in TAKEOVERS[:2] if writer == "tune" else TAKEOVERS:
                    number, found = step, ""
                    while found is not None:
                        with tempfile.TemporaryDirectory(prefix="everlearn-stops-") as folder:
                            found = stopped(writer, number, jump, Path(folder), take_over)
                        if found is not None:
                            counts[f"{writer}{', ' + clock if clock else ''}"] += 1
                        if found:
                            wrong.append(f"{writer}, request {number}, {clock}, {take_over.__name__}: {found}")
                        number += step
    return counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stops", description=__doc__.partition("\n")[0])
    parser.add_argument("writers", nargs="*", metavar="WRITER", help=f"of {', '.join(WRITERS)} (default: all)")
    parser.add_argument("--step", type=int, default=1, help="only each n-th request")
    arguments = parser.parse_args()
    counts, wrong = stops(tuple(arguments.writers) or WRITERS, arguments.step)
    for kind, count in sorted(counts.items()):
        print(f"  {kind:24} {count:5}")
    print(f"{sum(counts.values())} stops, wrong: {len(wrong) or 'none'}")
    for text in wrong[:20]:
        print(f"  {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
