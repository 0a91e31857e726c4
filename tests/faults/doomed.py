"""A model of the tests, which the workers of Ray import: through it a process is killed at a chosen moment.

`KILLS` names a file with one kill a line, `WHO RANK MOMENT`, with a moment of `tests.faults.moments` that this rank
reaches; the next one is the first line, and is removed when it happens. WHO is `worker`, `driver`, `ray`, which is
every process that the driver has started, `controller`, Ray Train's own, or `memory`, a worker that takes it all until
Ray ends it. Three more kill nothing, and nothing after them in the file happens in the same workers: `stopped`, a
worker that gets SIGSTOP and SIGCONT later, `asleep`, the driver that gets them, and `clock`, a worker whose clock is
then eleven days ahead or behind.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from tests.faults.moments import KilledStore, Moment, kill_self

if TYPE_CHECKING:
    from torch import nn

    from orchestrator.storage.store import Store
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group

KILLS = "TEST_KILLS"
STOPPED_S = 4
"""How long a process is stopped: longer than the lease of a claim in these tests."""


def mlp(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A small model."""
    from torch import nn

    features = 1
    for extent in input_shape:
        features *= extent
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 12), nn.ReLU(), nn.Linear(12, outputs))


def lie_in_wait(kills: Path) -> None:
    """Let the next kill happen in the workers of Ray Train that this process is."""
    import orchestrator.training.rank
    import orchestrator.training.worker

    lines = kills.read_text().splitlines()
    if not lines:
        return
    who, rank, text = lines[0].split(" ", 2)
    ours = Moment(text, lambda: _strike(who, kills))
    make_learner, open_store = orchestrator.training.rank.make_learner, orchestrator.training.worker.open_store

    def here(group: Group | None) -> bool:
        return group is not None and group.rank == int(rank)

    def watched(pipeline: Any, stream: Any, group: Group | None = None, *more: Any) -> Learner:
        learner = make_learner(pipeline, stream, group, *more)
        return ours.watch(learner) if here(group) else learner

    def killed_store(uri: str) -> Store:
        from strategies.loop.process_group import Group

        store: Any = open_store(uri)
        return KilledStore(store, ours) if here(Group.current()) else store

    made: Any = orchestrator.training
    made.rank.make_learner, made.worker.open_store = watched, killed_store


def eat_memory(limit: int = 8 * 2**30) -> None:
    """Take ever more memory, until Ray ends this process because the node runs out of it."""
    block = 64 * 2**20
    eaten = []
    for _ in range(limit // block):
        eaten.append(b"\1" * block)
    raise MemoryError(f"Ray lets a worker have {len(eaten) * block} bytes")


def _strike(who: str, kills: Path) -> None:
    lines = kills.read_text().splitlines()
    kills.write_text("".join(f"{line}\n" for line in lines[1:]))
    if who == "worker":
        kill_self()
    if who == "clock":
        real, jump = time.time, random.choice((1e6, -1e6))
        time.time = lambda: real() + jump
        return
    if who == "stopped":
        _continue_later(os.getpid())
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    if who == "memory":
        eat_memory()
    if who == "controller":
        next(p for p in psutil.process_iter() if _is_controller(p)).kill()
        time.sleep(60)  # until Ray ends this process, too
        return
    driver = next(p for p in psutil.Process().parents() if "orchestrator.cli.main" in " ".join(p.cmdline()))
    if who == "asleep":
        _continue_later(driver.pid)
        driver.send_signal(signal.SIGSTOP)
        return
    if who == "driver":
        driver.kill()
        time.sleep(60)  # else the orphans may finish all that is left before Ray ends them
        return
    for process in driver.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.pid != os.getpid():
                process.kill()
    kill_self()


def _continue_later(process: int) -> None:
    """Let SIGCONT follow to a process that will be stopped, from a process that is no child of a worker's.

    Ray ends the children of a worker that has ended.
    """
    command = ["sh", "-c", f"(sleep {STOPPED_S}; kill -CONT {process}) &"]
    subprocess.run(command, start_new_session=True, stdin=subprocess.DEVNULL, check=True)


def _is_controller(process: psutil.Process) -> bool:
    """Whether it is the controller that Ray's daemon has started beside this worker."""
    try:
        ours = psutil.Process().ppid()
        return process.ppid() == ours and "TrainController" in " ".join(process.cmdline())
    except psutil.Error:
        return False


if KILLS in os.environ and "RayTrainWorker" in " ".join(psutil.Process().cmdline()):
    lie_in_wait(Path(os.environ[KILLS]))
