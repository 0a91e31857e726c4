"""`python -m tests.tutorial_kills`: the tutorial of arriving files on real servers, of which each is killed once.

The page's commands run twice: as they are written, with a folder, a database and `--local`; and on a real S3 server,
MLflow's own server and Ray Serve with two replicas, while a client asks all the time. In the second run a step, MLflow,
a replica and S3 get a SIGKILL, each once. What both leave must be the same: commits with their tensors, refs,
admissions, decisions, and the points in MLflow; and no request may fail while the champion moves. Exit status 1 when
not. It takes some two minutes; `tests/e2e/test_tutorial.py` is the same as a test.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pytest

from orchestrator.cluster.log_levels import quiet
from orchestrator.tracking.mlflow_client import connect
from tests.docs.quick_commands import Loaded
from tests.e2e.tutorial import Disturbed, Tutorial, left, told
from tests.orchestrator.tracking.conftest import Server, free_port
from tests.s3.server import launch, use

EXPECTED = ["step", "MLflow", "replica", "S3"]


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.tutorial_kills", description=__doc__.partition("\n")[0]).parse_args()
    quiet()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="everlearn-tutorial-") as folder, pytest.MonkeyPatch.context() as patch:
        wrong = differences(Path(folder), patch)
    for text in wrong:
        print(f"wrong: {text}", file=sys.stderr)
    print(f"{len(wrong)} differences in {time.monotonic() - began:.0f} s, after {', '.join(EXPECTED)} were killed")
    sys.exit(bool(wrong))


def differences(folder: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """What the disturbed run did in another way than the undisturbed one."""
    for name in ("calm", "stormy", "loaded", "server"):
        (folder / name).mkdir()
    mlflow = Server(folder / "server" / "mlflow.db", free_port())
    for database in (mlflow.database, folder / "calm" / ".everlearn" / "mlflow.db"):
        database.parent.mkdir(exist_ok=True)
        connect(f"sqlite:///{database}").search_experiments()
    s3 = launch()
    try:
        mlflow.start()
        use(s3.environment, patch)
        with Loaded(folder / "loaded") as loaded:
            calm = Tutorial(folder / "calm", loaded, {})
            stormy = Disturbed(folder / "stormy", loaded, mlflow, s3)
            for each in (calm, stormy):
                try:
                    each.go()
                finally:
                    each.end()
        found, expected = left(stormy.storage), left(str(folder / "calm" / ".everlearn" / "store"))
        wrong = [
            f"{part}: {found[part]}\nexpected: {expected[part]}" for part in found if found[part] != expected[part]
        ]
        points, of_calm = told(mlflow.database), told(folder / "calm" / ".everlearn" / "mlflow.db")
        if points != of_calm:
            wrong.append(f"points in MLflow: {sorted(set(points.items()) ^ set(of_calm.items()))[:6]}")
    finally:
        mlflow.kill()
        s3.wipe()
    served = {expected["refs"]["champion"], expected["refs"]["latest"]}
    wrong += [f"a request failed: {text}" for text in stormy.failed[:5]]
    wrong += [f"answered by {stormy.asked}, not {served}"] if stormy.asked != served or len(served) != 2 else []
    wrong += [f"killed were {stormy.killed}, not {EXPECTED}"] if stormy.killed != EXPECTED else []
    return wrong


if __name__ == "__main__":
    main()
