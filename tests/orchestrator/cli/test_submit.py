"""`everlearn submit` and its sisters, without a cluster."""

import json
from pathlib import Path

import pytest
import yaml

from orchestrator.cli.main import invoke

TEXT = "name: small\nstream: {dataset: digits, setting: class-incremental, experiences: 2}\nmodel: mlp\n"


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--apply"], "--apply can only be used with --kubernetes"),
        (["--image", "x"], "--image can only be used with --kubernetes"),
        (["--tls"], "--tls can only be used with --kubernetes"),
        (["--seeds", "2"], "--seeds can only be used with --kind compare"),
        (["other.yaml", "--kubernetes"], "--kubernetes takes one file"),
        (["--kubernetes", "--follow"], "--follow cannot be used with --kubernetes"),
        (["--kubernetes", "--dependency", "x"], "--dependency cannot be used with --kubernetes"),
        (["--kind", "dance"], "--kind"),
    ],
)
def test_options_that_do_not_go_together(
    file: str, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["submit", file, *options]) == 2
    assert words in capsys.readouterr().err


def test_for_kubernetes_the_job_is_printed(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--kubernetes", "--image", "me/it:1", "--namespace", "ours", "--queue", "q", "--env", "A=secret/key"]
    assert invoke(["submit", file, *options]) == 0
    job, files, network = yaml.safe_load_all(capsys.readouterr().out)
    assert (job["kind"], files["kind"], job["metadata"]["namespace"]) == ("RayJob", "ConfigMap", "ours")
    assert (network["kind"], network["metadata"]["namespace"]) == ("NetworkPolicy", "ours")
    assert "tlsOptions" not in job["spec"]["rayClusterSpec"]
    assert invoke(["submit", file, *options, "--tls"]) == 0
    encrypted, _, _ = yaml.safe_load_all(capsys.readouterr().out)
    assert encrypted["spec"]["rayClusterSpec"]["tlsOptions"] == {"enabled": True}
    assert "me/it:1" in str(job) and job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    assert invoke(["submit", file, *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["applied"] is False and document["manifest"].startswith("apiVersion: ray.io/v1")


@pytest.mark.parametrize("command", [["status"], ["logs", "job"], ["stop", "job"], ["submit", "FILE"]])
@pytest.mark.parametrize("as_json", [False, True])
def test_without_an_address_nothing_is_done(
    file: str,
    command: list[str],
    as_json: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    arguments = [file if part == "FILE" else part for part in command]
    assert invoke([*arguments, *(["--json"] if as_json else [])]) == 3
    out, err = capsys.readouterr()
    assert out == "" and "--address" in err and len(err.splitlines()) == 2
