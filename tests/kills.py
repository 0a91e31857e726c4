"""`python -m tests.kills [NAME...]`: every strategy through Ray, while what it needs is killed.

For each strategy and for one and two workers, `everlearn run` learns a small stream. A worker, the driver and all of
Ray get a SIGKILL, each once, at random moments: in a step, in the consolidation (the Fisher information, say), during
the evaluation, in the middle of a blob, before, in and after a commit, before and in a ref, around a checkpoint. The
command is given again until it is done. The chain of commits must then equal, to the bit, that of processes without
Ray on which nothing was done. Exit status 1 when one does not.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.store import open_store
from strategies.registry import BUILT_IN
from tests.faults.doomed import DEATHS
from tests.faults.invariants import content, violations
from tests.faults.victim import Victims, prepared

WHO = ("worker", "driver", "ray")
ANY_RANK = ("step 7", "step 31", "consolidation 1", "evaluation 1", "evaluation 3")
RANK_0 = (
    *("blob half 1", "blob half 2", "commit before 1", "commit half 1", "commit after 1", "ref before 1", "ref half 1"),
    *("checkpoint before 1", "checkpoint half 2", "checkpoint after 1"),
)
EXPERIENCES = 5
ATTEMPTS = 6


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
    """What became of one pipeline.

    Attributes:
        deaths: those that happened, as `WHO RANK MOMENT`.
        wrong: what did not hold.
    """

    deaths: list[str]
    wrong: list[str]


def deaths(chosen: random.Random, workers: int) -> list[str]:
    """One death of each kind, in random order, at random moments."""
    found = []
    for who in chosen.sample(WHO, len(WHO)):
        moment = chosen.choice(ANY_RANK + RANK_0)
        rank = chosen.randrange(workers) if moment in ANY_RANK else 0
        found.append(f"{who} {rank} {moment}")
    return found


def ordeal(victims: Victims, strategy: str, workers: int, planned: Sequence[str], folder: Path) -> Ordeal:
    """Learn a stream under these deaths, and compare it with one on which nothing was done."""
    undisturbed, disturbed = pipeline(folder / "undisturbed", strategy), pipeline(folder / "disturbed", strategy)
    file, list_of_deaths = folder / "pipeline.yaml", folder / "deaths"
    file.write_text(disturbed)
    list_of_deaths.write_text("".join(f"{line}\n" for line in planned))
    made = prepared(disturbed)[0]
    lineage = Lineage(open_store(made.storage), made.name)
    wrong: list[str] = []
    command = [sys.executable, "-m", "orchestrator.cli.main", "run", str(file), "--workers", str(workers)]
    environment = {**os.environ, DEATHS: str(list_of_deaths)}
    for _ in range(ATTEMPTS):
        left = list_of_deaths.read_text().splitlines()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        happened = planned[len(planned) - len(left) : len(planned) - len(list_of_deaths.read_text().splitlines())]
        wrong += violations(lineage)
        expected = {"driver": -9, "ray": 3}.get(happened[-1].partition(" ")[0], 0) if happened else 0
        if done.returncode != expected:
            wrong.append(f"exit status {done.returncode} instead of {expected} after {happened}: {done.stderr[-2000:]}")
        if done.returncode == 0 or wrong:
            break
    left = list_of_deaths.read_text().splitlines()
    if not wrong:
        ending = victims.live(undisturbed, ranks=workers)
        other = Lineage(open_store(prepared(undisturbed)[0].storage), made.name)
        plan = prepared(disturbed)[2]
        if not ending.finished:
            wrong += ["the undisturbed run failed", *ending.errors]
        elif content(lineage, plan) != content(other, plan):
            wrong.append("the chain differs from the undisturbed one")
    return Ordeal(list(planned[: len(planned) - len(left)]), wrong)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="strategies (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    happened: Counter[str] = Counter()
    failed = 0
    runs = [(name, workers) for name in arguments.names or BUILT_IN for workers in (1, 2)]
    with Victims() as victims:
        for name, workers in runs:
            planned = deaths(random.Random(f"{arguments.seed} {name} {workers}"), workers)
            with tempfile.TemporaryDirectory(prefix="everlearn-kills-") as folder:
                found = ordeal(victims, f"[{{name: {name}}}]", workers, planned, Path(folder))
            happened.update(death.partition(" ")[0] for death in found.deaths)
            happened.update("at: " + death.split(" ", 2)[2].rpartition(" ")[0] for death in found.deaths)
            failed += bool(found.wrong)
            print(f"{name}, {workers} worker(s): {'; '.join(found.deaths)}: {'WRONG' if found.wrong else 'same'}")
            print("".join(f"    {text}\n" for text in found.wrong), end="", flush=True)
    print(f"{len(runs)} pipelines, seed {arguments.seed}; wrong: {failed or 'none'}")
    for kind, count in sorted(happened.items()):
        print(f"  {kind:30} {count:4}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
