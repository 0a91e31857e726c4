"""Reaching the dashboard of a cluster's head."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.errors import ClusterError
from orchestrator.jobs import dashboard_client
from orchestrator.jobs.dashboard_client import ADDRESS, Dashboard
from tests.orchestrator.jobs_server import JobsServer, authority

TEXT = "name: small\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n"


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    for name in (ADDRESS, "RAY_JOB_HEADERS", *names):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.jobs.client.STARTING_S", 0.0)  # the server runs nothing


@pytest.fixture
def server() -> Iterator[JobsServer]:
    with JobsServer().running() as running:
        yield running


def test_a_job_takes_along_what_it_was_given(
    server: JobsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the options, and by the file's `cluster` section."""
    (tmp_path / "own").mkdir()
    file = tmp_path / "small.yaml"
    cluster = {"address": server.address, "working_dir": str(tmp_path / "own"), "dependencies": ["a==1"], "env": ["A"]}
    file.write_text(f"{TEXT}cluster: {json.dumps(cluster)}\n")
    for name in ("A", "B"):
        monkeypatch.setenv(name, f"value of {name}")
    assert invoke(["submit", str(file), "--env", "B", "--dependency", "b>2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (body,) = server.submitted
    assert body["entrypoint"] == "python -m orchestrator.cli.main run pipeline.yaml"
    assert body["runtime_env"]["pip"]["packages"] == ["a==1", "b>2"]
    variables = body["runtime_env"]["env_vars"]
    assert (variables["A"], variables["B"]) == ("value of A", "value of B")
    assert body["runtime_env"]["working_dir"].startswith("gcs://")
    assert document["job"] == body["submission_id"] and document["address"] == server.address
    (run,) = document["runs"]
    assert len(run["lineage"]) == 2 and run["storage"] == "${EVERLEARN_STORAGE:-.everlearn/store}"
    assert run["tracking"]["url"] is None and run["tracking"]["experiment"] == "small"


class Every(dict[str, str]):
    """What is the same for every job."""

    def __init__(self, value: str) -> None:
        self._value = value

    def get(self, job: str, default: object = None) -> str:  # type: ignore[override]
        return self._value


def test_a_job_that_fails_at_its_start_is_no_success(
    server: JobsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    monkeypatch.setattr("orchestrator.jobs.client.STARTING_S", 15.0)
    server.ended = Every("FAILED")
    assert invoke(["submit", str(file), "--address", server.address]) == 1
    out, err = capsys.readouterr()
    assert "waiting for the job to start\neverlearn: the job failed: " in err
    job = server.submitted[0]["submission_id"]
    for command in (f"logs {job} --follow", f"status {job}", f"stop {job}"):
        assert f" {command} --address {server.address}\n" in out
    assert server.submitted[0]["runtime_env"]["env_vars"]["RAY_JOB_STOP_SIGNAL"] == "SIGINT"


def test_a_job_that_has_begun_is_not_waited_for(
    server: JobsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT)
    monkeypatch.setattr("orchestrator.jobs.client.STARTING_S", 600.0)
    server.written = Every("\x1e{}\n")
    assert invoke(["submit", str(file), "--address", server.address]) == 0
    assert "failed" not in capsys.readouterr().err


def test_a_comparison_takes_several_files(
    server: JobsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / name for name in ("one.yaml", "two.yaml")]
    for file in files:
        file.write_text(TEXT.replace("small", file.stem))
    arguments = ["submit", *map(str, files), "--address", server.address]
    assert invoke([*arguments, "--kind", "compare", "--seeds", "2"]) == 0
    (body,) = server.submitted
    assert body["entrypoint"].endswith(" compare pipeline.yaml pipeline-2.yaml --seeds 2")
    assert body["metadata"] == {"everlearn.kind": "compare", "everlearn.pipeline": "one, two"}
    assert "lineage  ${EVERLEARN_STORAGE:-.everlearn/store}/two" in capsys.readouterr().out
    assert invoke(arguments) == 2
    assert "only --kind compare takes several" in capsys.readouterr().err


def test_the_address_is_that_of_the_option_then_of_the_environment_then_of_the_file(
    server: JobsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, nobody = tmp_path / "small.yaml", "http://127.0.0.1:9"
    file.write_text(f"{TEXT}cluster: {{address: {nobody}}}\n")
    asked = ["status", "--file", str(file)]
    assert invoke(asked) == 3 and nobody in capsys.readouterr().err
    monkeypatch.setenv(ADDRESS, server.address)
    assert invoke(asked) == 0
    monkeypatch.setenv(ADDRESS, nobody)
    assert invoke([*asked, "--address", server.address]) == 0
    for command in (["stop", "job"], ["logs", "job"]):
        assert invoke([*command, "--file", str(file)]) == 3 and "127.0.0.1:9" in capsys.readouterr().err
    file.write_text(f"{TEXT}cluster: {{adress: {nobody}}}\n")
    assert invoke(asked) == 2 and "cluster.adress: unknown key" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard_client, "ANSWER_S", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(ClusterError, match=r"did not answer within 0\.2 s"):
        Dashboard(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_over_tls_the_authority_must_be_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ca, certificate = authority(tmp_path)
    with JobsServer().running(certificate) as server:
        with pytest.raises(ClusterError, match=r"is not trusted\n.*--ca"):
            Dashboard(server.address)
        assert invoke(["status", "--address", server.address, "--ca", str(ca), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == []
        with monkeypatch.context() as patch:
            patch.setenv("REQUESTS_CA_BUNDLE", str(ca))
            assert Dashboard(server.address).address == server.address
        for wrong in (tmp_path / "none.pem", certificate[1]):
            with pytest.raises(ClusterError, match="the certificate authority"):
                Dashboard(server.address, str(wrong))
        with pytest.raises(ClusterError, match=r"127\.0\.0\.1"):
            Dashboard(server.address.replace("https", "http"))


def test_a_proxy_gets_the_headers_that_it_asks_for(server: JobsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_HEADERS", '{"X-Team": "ours"}')
    Dashboard(server.address)
    assert server.headers["X-Team"] == "ours"
    monkeypatch.setenv("RAY_JOB_HEADERS", "X-Team: ours")
    with pytest.raises(ClusterError, match="RAY_JOB_HEADERS"):
        Dashboard(server.address)


@pytest.mark.parametrize(
    ("address", "token", "words"),
    [
        ("http://127.0.0.1:8265", False, None),
        ("http://localhost:8265", False, None),
        ("http://[::1]:8265", False, None),
        ("http://head:8265", False, "without a token"),
        ("https://head", False, "without a token"),
        ("http://head:8265", True, "without encryption"),
        ("https://head", True, None),
    ],
)
def test_what_is_wrong_with_an_address_is_said(
    address: str, token: bool, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    reached = object.__new__(Dashboard)
    reached.address = address
    assert [words in text for text in reached.warnings()] == ([True] if words else [])
