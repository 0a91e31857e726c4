import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke

PIPELINE = """
name: small
stream: {dataset: digits, experiences: 2}
model: {name: mlp, hidden: [8]}
tracking: {uri: "URI"}
"""


def test_before_the_first_run_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert invoke(["ui"]) == 3
    first, second = capsys.readouterr().err.splitlines()
    assert "no runs yet" in first and "mlflow.db" in first
    assert second == "Train the pipeline first: everlearn run FILE"


def test_settings_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["ui", "--set", "tracking.uri=x"]) == 2
    assert "--set needs a FILE" in capsys.readouterr().err


def test_a_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlflow.db").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert invoke(["ui", "--port", str(port)]) == 2
    assert f"port {port}" in capsys.readouterr().err


@contextlib.contextmanager
def tracking_server(answer: dict[str, object]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_tracking_server_has_a_ui_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tracking_server({"experiment": {"experiment_id": "7"}}) as uri:
        file = tmp_path / "p.yaml"
        file.write_text(PIPELINE.replace("URI", uri))
        assert invoke(["ui", str(file)]) == 0
    page = f"{uri}/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=everlearn"
    assert capsys.readouterr().out == f"MLflow UI: {page}\n"


def test_a_server_that_is_away_still_has_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(PIPELINE.replace("URI", "http://127.0.0.1:1"))
    assert invoke(["ui", str(file)]) == 0
    assert capsys.readouterr().out.startswith("MLflow UI: http://127.0.0.1:1/#/experiments")


@pytest.mark.slow
def test_the_ui_answers_and_ends_with_its_workers(tmp_path: Path) -> None:
    """In a folder whose name means something in a URI: nothing is left beside it."""
    folder = tmp_path / "what? #1 a%41b"
    (folder / ".everlearn").mkdir(parents=True)
    (folder / ".everlearn/mlflow.db").touch()
    command = [sys.executable, "-m", "orchestrator.cli.main", "ui"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"MLflow UI: (http://127\.0\.0\.1:\d+)/#/experiments\S*\n", line)
        assert found, (line, process.stderr and process.stderr.read())
        with urllib.request.urlopen(found[1] + "/health", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        with pytest.raises(OSError):
            urllib.request.urlopen(found[1] + "/health", timeout=2)
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        assert (folder / ".everlearn/mlflow.db").stat().st_size > 0
    finally:
        process.kill()
        process.wait()
