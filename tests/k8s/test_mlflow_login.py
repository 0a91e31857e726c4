"""MLflow's login, with the script and the command of the manifests, and a real server."""

from __future__ import annotations

import runpy
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.mlflow_ui import ui_environment
from tests.k8s.manifests import K8S, build
from tests.orchestrator.tracking.conftest import Server, free_port

pytestmark = pytest.mark.slow
LOGIN = {"MLFLOW_TRACKING_USERNAME": "everlearn", "MLFLOW_TRACKING_PASSWORD": "for-the-jobs-1"}
ADMIN = {"MLFLOW_AUTH_ADMIN_PASSWORD": "for-the-admin-1", "MLFLOW_FLASK_SERVER_SECRET_KEY": "for-the-server-1"}


class Guarded(Server):
    """An MLflow server with the command and the settings of the manifests."""

    def command(self) -> list[str]:
        (deployment,) = [m for m in build("base") if m["kind"] == "Deployment"]
        program, *arguments = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
        here = {"--host=0.0.0.0": "--host=127.0.0.1", "--port=5000": f"--port={self.port}"}
        return [sys.executable, "-m", program, *(here.get(argument, argument) for argument in arguments), "--workers=1"]

    def environment(self) -> dict[str, str]:
        found = {**ui_environment(f"sqlite:///{self.database}"), **ADMIN}
        del found["MLFLOW_DEFAULT_ARTIFACT_ROOT"]
        return {**found, "MLFLOW_ARTIFACTS_DESTINATION": str(self.database.parent / "artifacts")}


def status(url: str, login: str = "", method: str = "GET", body: bytes | None = None) -> int:
    request = urllib.request.Request(url, body, method=method, headers={"Content-Type": "application/json"})
    if login:
        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_mlflow_lets_in_who_has_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_database: Callable[[Path], str]
) -> None:
    database = tmp_path / "mlflow.db"
    new_database(database)
    settings = (K8S / "base" / "mlflow-login.ini").read_text()
    own = settings.replace("postgresql+psycopg2://mlflow@postgres:5432/mlflow", f"sqlite:///{database}")
    assert own != settings
    (tmp_path / "basic_auth.ini").write_text(own)
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(tmp_path / "basic_auth.ini"))
    for name, value in {**ADMIN, **LOGIN, "MLFLOW_TRACKING_PASSWORD": "an-older-password"}.items():
        monkeypatch.setenv(name, value)
    for password in ("an-older-password", LOGIN["MLFLOW_TRACKING_PASSWORD"]):
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        runpy.run_path(str(K8S / "base" / "mlflow_login.py"))
    server = Guarded(database, free_port())
    try:
        server.start()
        users, search = f"{server.uri}/api/2.0/mlflow/users", f"{server.uri}/api/2.0/mlflow/experiments/search"
        assert status(f"{server.uri}/health") == 200, "the probes have no login"
        page = b'{"max_results": 1}'
        jobs, admin = "everlearn:for-the-jobs-1", "admin:for-the-admin-1"
        logins = {"": 401, "everlearn:an-older-password": 401, jobs: 200, admin: 200}
        assert {login: status(search, login, "POST", page) for login in logins} == logins
        new = b'{"username": "somebody", "password": "of-their-own-1"}'
        assert status(f"{users}/create", jobs, "POST", new) == 403, "jobs are no administrators"
        assert status(f"{users}/create", admin, "POST", new) == 200
        client = connect(server.uri)
        run = client.create_run(client.create_experiment("digits"))
        client.log_metric(run.info.run_id, "accuracy", 0.5)
        client.log_text(run.info.run_id, "kept by the server", "note.txt")
        assert client.get_run(run.info.run_id).data.metrics == {"accuracy": 0.5}
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["note.txt"]
        change = f'{{"run_id": "{run.info.run_id}", "key": "accuracy", "value": 1, "timestamp": 0}}'.encode()
        log = f"{server.uri}/api/2.0/mlflow/runs/log-metric"
        assert status(log, "somebody:of-their-own-1", "POST", change) == 403, "others read, and change nothing"
    finally:
        server.kill()
