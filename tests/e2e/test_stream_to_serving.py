"""The tutorial of arriving files on a real S3 server, MLflow's own server and Ray Serve, in fewer steps.

`python -m tests.tutorial_kills` runs all of it twice and kills each of them. Here MLflow dies before the rollback. The
page as it is written is run by `tests/docs/test_snippets.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.docs.quick_commands import Loaded
from tests.e2e.tutorial import OnServers, left
from tests.orchestrator.tracking.conftest import Server, free_port
from tests.s3.server import S3Server


class Short(OnServers):
    """Without looks at what is there, and without the update that is refused: week 5 is correct at once."""

    pause = 0.2

    def step(self, line: str) -> None:
        if "|| test" not in line:
            super().step(line)

    def run(self, command: list[str]) -> None:
        text = command[-1]
        if text.startswith("everlearn backfill"):
            if "--yes" in text:
                super().step("everlearn step machines.yaml")
        elif "wrong_labels=True" not in text and not text.startswith(("everlearn sources", "everlearn drift")):
            if text.startswith("everlearn rollback"):
                self.mlflow.kill()
                self.killed.append("MLflow")
            super().run(command)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.s3
@pytest.mark.timeout(600)
def test_files_arrive_are_learned_served_and_rolled_back_on_real_servers(
    s3_server: S3Server, new_database: Callable[[Path], str], tmp_path: Path
) -> None:
    new_database(tmp_path / "server" / "mlflow.db")
    mlflow = Server(tmp_path / "server" / "mlflow.db", free_port())
    for name in ("page", "loaded"):
        (tmp_path / name).mkdir()
    with ThreadPoolExecutor(1) as starting, Loaded(tmp_path / "loaded") as loaded:
        begun = starting.submit(mlflow.start)
        page = Short(tmp_path / "page", loaded, mlflow, s3_server.environment["AWS_ENDPOINT_URL"], replicas=1)
        begun.result()
        try:
            page.go()
        finally:
            page.end()
            mlflow.kill()
    assert page.killed == ["MLflow"] and page.failed == []
    found = left(page.storage)
    champion, latest = found["refs"]["champion"], found["refs"]["latest"]
    assert page.asked == {champion, latest} and len(found["commits"]) == 4
    # Of the first month a file is in quarantine.
    assert [len(record["files"]) for record in found["admitted"]] == [4, 1]
    with closing(sqlite3.connect(mlflow.database)) as database:
        named = "SELECT count(*) FROM registered_model_aliases WHERE alias = 'champion'"
        assert database.execute(named).fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM metrics WHERE key LIKE 'accuracy/%'").fetchone()[0] > 0
