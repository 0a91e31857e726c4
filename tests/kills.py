"""`python -m tests.kills [NAME...]`: every strategy through Ray, while what it needs is killed.

For each strategy and for one and two workers, `everlearn run` learns a small stream. A worker, the driver and all of
Ray get a SIGKILL, each once, at random moments: in a step, in the consolidation (the Fisher information, say), during
the evaluation, in the middle of a blob, before, in and after a commit, before and in a ref, around a checkpoint. Then a
worker or the driver is stopped (SIGSTOP) for longer than a claim's lease, or a worker's clock jumps by eleven days. The
command is given again until it is done. The chain of commits must then equal, to the bit, that of processes without
Ray on which nothing was done. Exit status 1 when one does not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from strategies.registry import BUILT_IN
from tests.faults.ordeal import ordeal, planned_kills
from tests.faults.victim import Victims


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
            planned = planned_kills(random.Random(f"{arguments.seed} {name} {workers}"), workers)
            with tempfile.TemporaryDirectory(prefix="everlearn-kills-") as folder:
                found = ordeal(victims, f"[{{name: {name}}}]", workers, planned, Path(folder))
            happened.update(kill.partition(" ")[0] for kill in found.kills)
            happened.update("at: " + kill.split(" ", 2)[2].rpartition(" ")[0] for kill in found.kills)
            failed += bool(found.wrong)
            print(f"{name}, {workers} worker(s): {'; '.join(found.kills)}: {'WRONG' if found.wrong else 'same'}")
            print("".join(f"    {text}\n" for text in found.wrong), end="", flush=True)
    print(f"{len(runs)} pipelines, seed {arguments.seed}; wrong: {failed or 'none'}")
    for kind, count in sorted(happened.items()):
        print(f"  {kind:30} {count:4}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
