"""`python -m tests.stops`: run, tune, forget, gc, copy are stopped by SIGSTOP at every request, and taken over there.

A process of its own holds a claim and works on a lineage: `run` and `tune` are a real run and a real search of a small
pipeline, in this one process. At its n-th request to the store, for every n, it stops itself, as a laptop does that
sleeps; its clock is right, eleven days ahead or behind, in turn, by an offset to `time.time` in that process alone.
While it is stopped, another takes the claim over: forget, gc or another run. Then it gets SIGCONT. It must end with
`ClaimLost` or have nothing more to write, nothing that it writes may be seen, and no object may hold a forgotten
sample.

What a stopped process was about to delete may still be deleted (see `orchestrator.lineage.fencing`): if the
other needed it again, `fsck --repair` and the next run must make it again. A stopped `forget` that has written its list
of ids owes the rest, which `fsck` shows and the next `forget` pays. Exit status 1 when an invariant was violated.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.errors import OrchestratorError
from orchestrator.lineage import claim as claims
from orchestrator.lineage.claim import Claim
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.maintenance.collect_garbage import PARALLEL, collect
from orchestrator.maintenance.copy_store import copy
from orchestrator.maintenance.forget_samples import forget
from orchestrator.maintenance.repair_store import repair
from orchestrator.storage.open_by_uri import open_store
from tests.faults.small_training import first_experience, holding, preload, train
from tests.orchestrator.lineage.test_fencing import FORGOTTEN, Stopped, stop_here, written
from tests.orchestrator.maintenance.lineages import grow

WRITERS = ("run", "tune", "forget", "gc", "copy")
REAL = ("run", "tune")
CLOCKS = {"": 0.0, "clock forward": 1e6, "clock back": -1e6}
LOST = 3
# Seconds after which a process that was continued is said to hang.
HANGS = 300
# More requests than any of them makes.
MOST = 10_000
FEW = {"run": 50, "tune": 90, "forget": 15, "gc": 11, "copy": 25}
PR_SET_PDEATHSIG = 1


def work(writer: str, lineage: Lineage, folder: Path) -> None:
    """What is stopped."""
    if writer in REAL:
        train(writer, lineage.store, folder)
    elif writer == "forget":
        forget(lineage, range(3))
    elif writer == "gc":
        collect(lineage, keep=1, minimum_age=0)
    else:
        copy(Lineage(open_store(str(folder / "source")), "digits"), lineage)


def stopped(writer: str, number: int, jump: float, folder: Path, take_over: Callable[..., Any]) -> str | None:
    """One stop at the n-th request: what is wrong after it, empty for nothing; None when there is no such request."""
    lineage = Lineage(open_store(str(folder / "store")), "digits")
    ids = [*FORGOTTEN]
    if writer in REAL:
        ids = first_experience(folder)
    elif writer == "copy":
        grow(Lineage(open_store(str(folder / "source")), "digits"), 2)
    else:
        grow(lineage, 2)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # Where this process is killed, no other process is left stopped.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.alarm(HANGS)
            real = time.time
            time.time = lambda: real() + jump
            store: Any = Stopped(lineage.store, number, stop_here)
            work(writer, Lineage(store, "digits"), folder)
            status = 0
        except OrchestratorError:
            status = LOST
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if not os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]):
        return None
    held = holds(lineage, child)
    take_over(lineage, ids)
    before = written(lineage)
    os.kill(child, signal.SIGCONT)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    wrong = [f"exit status {status}"] if status not in (0, LOST) else []
    if not held:
        return "; ".join(wrong)  # it had not begun, or had ended: what it does next is done under a claim of its own
    after = written(lineage)
    late = sorted(before.keys() - after.keys())
    # A run removes the checkpoints on the way to what it has committed.
    folders = ("/runs/",) if writer in REAL else ("/blobs/", "/commits/")
    deleted = [key for key in late if any(folder in key for folder in folders)]
    if writer != "copy" and len(deleted) <= PARALLEL:
        # The deletions that were under way: of what was garbage, but another run may have found it there.
        late = sorted({*late} - {*deleted})
        if deleted and take_over is another_run:
            repair(lineage, fsck)
            another_run(lineage, ids)
    if writer == "forget" and take_over is not forgotten:
        # What its list of ids promises is owed until somebody forgets again.
        owed = "run everlearn forget again"
        wrong += [f"fsck: {damage}" for damage in fsck(lineage).damage if owed not in damage.problem]
        forget(lineage, range(3))
    wrong += [f"fsck: {damage}" for damage in fsck(lineage).damage]
    # Blobs hold no samples unless they are announced, and are of no effect without their commit.
    new = [key for key, data in after.items() if before.get(key) != data and "/blobs/" not in key]
    wrong += [f"{key} was written after the takeover" for key in new]
    wrong += [f"{key} is gone" for key in late]
    wrong += [f"{key} holds forgotten samples" for key in holding(lineage, ids) if take_over is forgotten]
    return "; ".join(wrong)


def holds(lineage: Lineage, process: int) -> bool:
    """Whether this process has a claim, and is at work."""
    found = [Holder.parse(lineage.store.get(key), key) for key in lineage.store.list("digits/claims/")]
    return any(one.token is not None and one.pid == process and not one.entering for one in found)


def forgotten(lineage: Lineage, ids: list[int]) -> None:
    """Every sample of experience 0 is forgotten."""
    forget(lineage, ids)


def collected(lineage: Lineage, ids: list[int]) -> None:
    """Garbage of any age is removed."""
    collect(lineage, minimum_age=0)


def another_run(lineage: Lineage, ids: list[int]) -> None:
    """Another run commits."""
    with claims.claimed(lineage, "run") as claim:
        grow(lineage.fenced(claim.fence), 2, variant=2)


TAKEOVERS = (forgotten, collected, another_run)


def rounds(writer: str, step: int | None) -> Iterator[tuple[Callable[..., Any], list[tuple[int, str]]]]:
    """Who takes over, and at which requests with which clocks, until there is none any more.

    Args:
        step: every `step`-th request; None: the few that are tests.
    """
    names = list(CLOCKS)
    if step is None:
        yield forgotten, [(FEW[writer], clock) for clock in (names[1:2] if writer in REAL else names[1:])]
        return
    # A run beside a search is allowed: it takes nothing over.
    for turn, take_over in enumerate(TAKEOVERS[:2] if writer == "tune" else TAKEOVERS):
        yield take_over, [(number * step, names[(number + turn) % len(names)]) for number in range(1, MOST // step)]


def stops(writers: tuple[str, ...], step: int | None = 1) -> tuple[Counter[str], list[str]]:
    """The stops of these writers; how many there were, and what was wrong. Arguments as those of `rounds`."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    alone = mock.patch.object(claims, "_machine", lambda: None)  # nobody sees the other's process
    beats = mock.patch.object(Claim, "_renew", lambda self: None)  # a stopped process renews nothing
    with alone, beats, mock.patch.dict(os.environ, {"EVERLEARN_CLAIM_LEASE": "0.05"}):
        for writer in writers:
            for take_over, requests in rounds(writer, step):
                for number, clock in requests:
                    with tempfile.TemporaryDirectory(prefix="everlearn-stops-") as folder:
                        found = stopped(writer, number, CLOCKS[clock], Path(folder), take_over)
                    if found is None:
                        break
                    counts[f"{writer}{', ' + clock if clock else ''}"] += 1
                    if found:
                        wrong.append(f"{writer}, request {number}, {clock}, {take_over.__name__}: {found}")
                        print(wrong[-1], file=sys.stderr, flush=True)
    return counts, wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stops", description=__doc__.partition("\n")[0])
    parser.add_argument("writers", nargs="*", metavar="WRITER", help=f"of {', '.join(WRITERS)} (default: all)")
    parser.add_argument("--step", type=int, default=1, help="only each n-th request")
    parser.add_argument("--few", action="store_true", help="one request of each, or two: those that are tests")
    arguments = parser.parse_args()
    writers, step = tuple(arguments.writers) or WRITERS, None if arguments.few else arguments.step
    with tempfile.TemporaryDirectory(prefix="everlearn-stops-") as folder:
        for kind in [] if arguments.few else [writer for writer in writers if writer in REAL]:
            store = open_store(f"{folder}/store")
            preload(lambda kind=kind, store=store: train(kind, store, Path(folder)))  # type: ignore[misc]
    counts, wrong = stops(writers, step)
    for kind, count in sorted(counts.items()):
        print(f"  {kind:24} {count:5}")
    print(f"{sum(counts.values())} stops, wrong: {len(wrong) or 'none'}")
    for text in wrong[:20]:
        print(f"  {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
