"""Handing a job to kubectl."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cli.main import invoke
from orchestrator.errors import ClusterError
from orchestrator.jobs.kubernetes import JobOptions, render_job, submit_kubernetes
from pipelines.config.pipeline_errors import PipelineError
from tests.k8s.api_server import ApiServer
from tests.k8s.manifests import kubectl

TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental, experiences: 5}\nmodel: mlp\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def real_kubectl() -> str:
    return kubectl()


def stand_in(folder: Path, script: str) -> None:
    """A program that answers as kubectl does, first in the search path."""
    folder.mkdir()
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(script: str) -> Path:
        stand_in(tmp_path / "bin", script)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return install


def test_without_apply_nothing_is_started(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    submission = submit_kubernetes(file, options=JobOptions(namespace="team"), apply=False)
    job, files, network = yaml.safe_load_all(submission.manifest)
    assert (job["kind"], files["kind"], network["kind"]) == ("RayJob", "ConfigMap", "NetworkPolicy")
    assert job["metadata"]["name"] == submission.name and job["metadata"]["namespace"] == "team"
    assert not submission.applied
    assert submission.commands["stop"] == f"kubectl -n team delete rayjob {submission.name}"
    assert submission.to_json()["job"] == submission.name


def test_every_submission_is_a_job_of_its_own(file: Path) -> None:
    assert submit_kubernetes(file, apply=False).name != submit_kubernetes(file, apply=False).name


def test_apply_hands_over_the_job_and_then_what_it_owns(file: Path, answer: Any) -> None:
    where = answer(
        'cd "$(dirname "$0")/.."; n=$(ls | grep -c call); echo "$@" > call$n.args; cat > call$n.yaml\n'
        'name=$(sed -n "s/^  name: //p" call$n.yaml | head -1)\n'
        'echo "{\\"apiVersion\\": \\"ray.io/v1\\", \\"kind\\": \\"RayJob\\",'
        ' \\"metadata\\": {\\"name\\": \\"$name\\", \\"uid\\": \\"u-1\\"}}"'
    )
    submission = submit_kubernetes(file, "run", apply=True, context="kind-test")
    calls = sorted(where.glob("call*.yaml"))
    job, files, network = (yaml.safe_load(path.read_text()) for path in calls)
    assert job["kind"] == "RayJob" and submission.applied
    owner = {"apiVersion": "ray.io/v1", "kind": "RayJob", "name": submission.name, "uid": "u-1"}
    assert files["metadata"]["ownerReferences"] == network["metadata"]["ownerReferences"] == [owner]
    assert "--context kind-test" in calls[0].with_suffix(".args").read_text()
    assert "apply --server-side" in calls[0].with_suffix(".args").read_text()
    assert json.loads(json.dumps(submission.to_json()))["applied"] is True


def test_a_missing_kubectl_is_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClusterError, match="kubectl was not found"):
        submit_kubernetes(file, apply=True)


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ('error: resource mapping not found: no matches for kind "RayJob" in version "ray.io/v1"', "KubeRay"),
        ('Error from server (NotFound): namespaces "everlearn" not found', "overlays"),
        ('Error from server (Forbidden): rayjobs.ray.io "p" is forbidden: User "x" cannot patch', "everlearn-submit"),
        (
            'Error from server: rayjobs.ray.io "p" is forbidden: ValidatingAdmissionPolicy "everlearn-ray" with binding'
            ' "everlearn-ray" denied request: secrets: only everlearn-s3',
            "admission.yaml",
        ),
        ("error: You must be logged in to the server (Unauthorized)", "Log in"),
        ("The connection to the server localhost:8080 was refused", "cluster-info"),
    ],
)
def test_a_refusal_is_reported_with_what_to_do(file: Path, answer: Any, stderr: str, hint: str) -> None:
    answer(f"cat > /dev/null; echo noise >&2; echo '{stderr}' >&2; exit 1")
    with pytest.raises(ClusterError, match=hint) as refused:
        submit_kubernetes(file, apply=True)
    assert len(str(refused.value).splitlines()) <= 3 and "noise" not in str(refused.value)


def use(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kubectl's configuration lead to a server."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": ""}}],
    }
    (folder / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(folder / "config"))
    # Where kubectl keeps what it has learned of servers.
    monkeypatch.setenv("KUBECACHEDIR", str(folder / "cache"))


@pytest.mark.usefixtures("real_kubectl")
def test_the_real_kubectl_applies_the_job_its_file_and_its_network(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with ApiServer().running() as server:
        use(server.url, tmp_path, monkeypatch)
        assert invoke(["submit", str(file), "--kubernetes", "--apply", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["applied"] is True
    assert [(method, query["fieldValidation"], query["force"]) for method, _, query in server.requests] == [
        ("PATCH", ["Strict"], ["false"])
    ] * 3
    job, files, network = server.objects.values()
    assert job["metadata"]["name"] == files["metadata"]["name"] == told["job"]
    for owned in (files, network):
        assert owned["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert files["data"] == {"pipeline.yaml": TEXT}
    assert job["spec"] == render_job(TEXT, "run", JobOptions(suffix=told["job"].rpartition("-")[2]))[0]["spec"]


@pytest.mark.usefixtures("real_kubectl")
@pytest.mark.parametrize(
    ("server", "hint"),
    [
        (ApiServer(namespaces=()), "overlays"),
        (None, r"refused[\s\S]*cluster-info"),
    ],
)
def test_what_a_cluster_lacks_is_reported_by_the_real_kubectl(
    server: ApiServer | None, hint: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server.running() if server is not None else nullcontext():
        use(server.url if server is not None else "http://127.0.0.1:9", tmp_path, monkeypatch)
        with pytest.raises(ClusterError, match=hint):
            submit_kubernetes(file, apply=True)


def test_a_wrong_file_is_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="there is no such file"):
        submit_kubernetes(tmp_path / "none.yaml", apply=True)
