"""A stream learned by `everlearn run` while things are killed, and compared with one on which nothing was done."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from tests.faults.doomed import KILLS
from tests.faults.invariants import content, violations
from tests.faults.victim import Victims, prepared

WHO = ("worker", "driver", "ray")
DISTURBED = ("stopped", "asleep", "clock")
ANY_RANK = ("step 7", "step 31", "consolidation 1", "evaluation 1", "evaluation 3")
RANK_0 = (
    *("blob half 1", "blob half 2", "commit before 1", "commit half 1", "commit after 1", "ref before 1", "ref half 1"),
    *("checkpoint before 1", "checkpoint half 2", "checkpoint after 1"),
)
EXPERIENCES = 5
ATTEMPTS = 6
SPARE = 4 * 2**30
"""Bytes that a worker may take before it is said to be too much, where memory is among the kills."""


def pipeline(storage: Path, strategy: str) -> str:
    order = [[2 * index, 2 * index + 1] for index in range(EXPERIENCES)]
    return (
        f"name: digits\nstream: {{dataset: digits, setting: task-incremental, order: {order}}}\n"
        f"model: {{name: 'tests.faults.doomed:mlp'}}\nstrategy: {strategy}\nstorage: {storage}\n"
        "train: {steps: 40, batch_size: 20, checkpoint_every: 10, optimizer: {name: adam}}\n"
        "tracking: {uri: 'http://127.0.0.1:9'}\n"
    )


@dataclass(frozen=True)
class Ordeal:
    """The outcome of one pipeline.

    Attributes:
        kills: those that happened, as `WHO RANK MOMENT`.
        wrong: what did not hold.
    """

    kills: list[str]
    wrong: list[str]


def planned_kills(chosen: random.Random, workers: int) -> list[str]:
    """One kill of each kind, in random order, at random moments, and then one of `DISTURBED`."""
    found = []
    for who in (*chosen.sample(WHO, len(WHO)), chosen.choice(DISTURBED)):
        moment = chosen.choice(ANY_RANK + RANK_0)
        rank = chosen.randrange(workers) if moment in ANY_RANK else 0
        found.append(f"{who} {rank} {moment}")
    return found


def short_of_memory() -> dict[str, str]:
    """What makes Ray end processes when `SPARE` more bytes are taken than now; empty if that is more than there are."""
    memory = psutil.virtual_memory()
    share = (memory.total - memory.available + SPARE) / memory.total
    if share > 0.95:  # Ray's own limit
        return {}
    return {"RAY_memory_usage_threshold": f"{share:.3f}", "RAY_memory_monitor_refresh_ms": "100"}


def ordeal(victims: Victims, strategy: str, workers: int, planned: Sequence[str], folder: Path) -> Ordeal:
    """Learn a stream under these kills, and compare it with one on which nothing was done."""
    undisturbed, disturbed = pipeline(folder / "undisturbed", strategy), pipeline(folder / "disturbed", strategy)
    file, list_of_kills = folder / "pipeline.yaml", folder / "kills"
    file.write_text(disturbed)
    list_of_kills.write_text("".join(f"{line}\n" for line in planned))
    made = prepared(disturbed)[0]
    lineage = Lineage(open_store(made.storage), made.name)
    wrong: list[str] = []
    command = [sys.executable, "-m", "orchestrator.cli.main", "run", str(file)]
    command += ["--workers", str(workers), "--address", "local"]
    environment = {**os.environ, KILLS: str(list_of_kills), "EVERLEARN_CLAIM_LEASE": "2"}
    if any(kill.startswith("memory") for kill in planned):
        environment |= short_of_memory()
    for _ in range(ATTEMPTS):
        left = list_of_kills.read_text().splitlines()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        happened = planned[len(planned) - len(left) : len(planned) - len(list_of_kills.read_text().splitlines())]
        wrong += violations(lineage)
        last = happened[-1].partition(" ")[0] if happened else ""
        expected = {"driver": -9, "ray": 3}.get(last, 0)
        if done.returncode != expected:
            wrong.append(f"exit status {done.returncode} instead of {expected} after {happened}: {done.stderr[-2000:]}")
        if last == "ray" and not ("the Ray cluster failed" in done.stderr and len(done.stderr.splitlines()) <= 3):
            wrong.append(f"the failure of Ray is reported as: {done.stderr[-2000:]}")
        restarts = sum(kill.startswith(("worker", "controller")) for kill in happened)
        if done.returncode == 0 and done.stdout.count("restart: ") < restarts:
            wrong.append(f"{restarts} restarts are reported as: {done.stdout}")
        if done.returncode == 0 or wrong:
            break
    left = list_of_kills.read_text().splitlines()
    if not wrong:
        ending = victims.live(undisturbed, ranks=workers)
        other = Lineage(open_store(prepared(undisturbed)[0].storage), made.name)
        plan = prepared(disturbed)[2]
        if not ending.finished:
            wrong += ["the undisturbed run failed", *ending.errors]
        elif content(lineage, plan) != content(other, plan):
            wrong.append("the chain differs from the undisturbed one")
    return Ordeal(list(planned[: len(planned) - len(left)]), wrong)
