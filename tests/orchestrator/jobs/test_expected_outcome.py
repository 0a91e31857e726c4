"""What can be said of a run before it starts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator.jobs.expected_outcome import Prospect, prospects
from orchestrator.jobs.runtime_env import prepare
from orchestrator.lineage.plan import make_plan
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream

TEXT = "name: small\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n"


def prospect(folder: Path, text: str = TEXT, kind: str = "run", **arguments: Any) -> Prospect:
    file = folder / "small.yaml"
    file.write_text(text)
    (found,) = prospects(prepare([file], kind, **arguments))
    return found


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A tracking server that has the experiment `small` and these runs."""
    runs: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            experiment = {"experiment_id": "7", "name": "small", "lifecycle_stage": "active"}
            self.reply({"experiment": experiment})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply({"runs": [run for run in runs if run["data"]["tags"][0]["value"] in body.get("filter", "")]})

        def reply(self, document: Any) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", runs
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_commits_are_those_that_the_run_will_make(tmp_path: Path) -> None:
    pipeline = load_text(TEXT)
    ids = [planned.id for planned in make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed))]
    found = prospect(tmp_path, f"{TEXT}storage: s3://bucket/prefix\n")
    assert found.commits == ids and found.storage == "s3://bucket/prefix"
    assert found.lines()[0] == f"lineage  s3://bucket/prefix/small, up to commit {ids[-1][:12]}"
    assert prospect(tmp_path, f"{TEXT}tune: {{space: {{seed: {{randint: [0, 9]}}}}}}\n", "tune").commits is None


def test_data_that_is_not_at_hand_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERLEARN_DATA", raising=False)
    for dataset in ("mnist", "{name: npz, path: 's3://127.0.0.1/none'}", "{name: npz, path: /nowhere/x.npz}"):
        found = prospect(tmp_path, TEXT.replace("digits", dataset))
        assert found.commits is None and found.lines()[0].endswith("/small")


def test_what_the_cluster_s_environment_decides_is_named_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLEARN_STORAGE", "s3://mine")
    text = f"{TEXT}tracking: {{uri: '${{TRACKED}}'}}\n"
    monkeypatch.setenv("TRACKED", "http://127.0.0.1:9")
    found = prospect(tmp_path, text)
    assert found.storage.startswith("${EVERLEARN_STORAGE") and (found.uri, found.url) == ("${TRACKED}", None)
    found = prospect(tmp_path, text, variables=["EVERLEARN_STORAGE", "TRACKED"])
    assert (found.storage, found.uri, found.url) == ("s3://mine", "http://127.0.0.1:9", None)
    assert "the run with the tag everlearn.run = " in found.lines()[1]


def test_the_page_of_the_run_or_the_one_that_will_list_it(tmp_path: Path, mlflow: Any) -> None:
    uri, runs = mlflow
    text = f"{TEXT}tracking: {{uri: '{uri}'}}\n"
    before = prospect(tmp_path, text)
    assert before.commits and before.run_id is None and before.url is not None
    assert before.url.startswith(f"{uri}/#/experiments/7/runs?") and before.commits[-1] in before.url
    tags = [{"key": "everlearn.run", "value": before.commits[-1]}]
    info = {"run_id": "r1", "run_uuid": "r1", "experiment_id": "7", "status": "RUNNING", "start_time": 1}
    runs.append({"info": info, "data": {"tags": tags}})
    after = prospect(tmp_path, text)
    assert after.run_id == "r1" and after.url is not None and "/experiments/7/runs/r1" in after.url
