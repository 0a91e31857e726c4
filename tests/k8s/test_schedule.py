"""What steps again and again: the CronJob of k8s/jobs/step, and what `everlearn schedule` prints.

Covers: `orchestrator/jobs/kubernetes/cron_job.py`, `orchestrator/cli/schedule.py`
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.main import invoke
from orchestrator.jobs.kubernetes.cron_job import checked_cron, crontab_line, render_schedule
from pipelines.config.pipeline_errors import PipelineError
from tests.k8s.manifests import K8S, Manifest, build, pods, selects
from tests.k8s.operators import refusals
from tests.k8s.restricted import violations
from tests.k8s.schemas import schema_errors

FOLDER = K8S / "jobs/step"
TEXT = """\
name: arriving
stream: {source: {path: "s3://data/in", format: npz, classes: 4}}
model: mlp
storage: ${EVERLEARN_STORAGE}
"""


def test_the_cron_job_is_what_the_command_prints_and_is_safe() -> None:
    job, files, policy = yaml.safe_load_all((FOLDER / "job.yaml").read_text())
    text = files["data"]["pipeline.yaml"]
    assert render_schedule(text, job["spec"]["schedule"]) == [job, files, policy]
    _check(list(build("jobs/step")))


def test_a_schedule_of_several_workers_is_a_ray_cron_job() -> None:
    manifests = render_schedule(TEXT + "scaling: {workers: 3}\n", "*/30 6-22 * * 1,3,5", time_zone="Europe/Berlin")
    job = manifests[0]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayCronJob")
    # Its definition is not at hand; the template is the spec of a RayJob, whose is.
    assert job["spec"].keys() == {"schedule", "timeZone", "jobTemplate"}
    made = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": job["metadata"],
        "spec": job["spec"]["jobTemplate"],
    }
    assert schema_errors(made) == [] and refusals(made) == []
    assert made["spec"]["entrypoint"] == "everlearn step /etc/everlearn/pipeline.yaml"
    _check([made, *manifests[1:]])


def _check(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if not manifest["apiVersion"].startswith("ray.io/"):
            kubernetes_validate.validate(
                json.loads(json.dumps(manifest)), kubernetes_validate.latest_version(), strict=True
            )
    policy = next(one for one in manifests if one["kind"] == "NetworkPolicy")
    found = list(pods(manifests))
    assert found
    for pod in found:
        assert violations(pod.spec) == [], pod.where
        taken = selects(policy["spec"]["podSelector"], pod.labels)
        assert taken == (pod.component != "ray-submitter"), pod.where


def test_the_names_of_its_jobs_are_short_enough() -> None:
    (job, *_) = render_schedule(TEXT.replace("arriving", "a" * 90), "0 * * * *")
    # Kubernetes appends 11 characters for a pod of a job of a CronJob, and KubeRay as many.
    assert len(job["metadata"]["name"]) <= 36


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        ("hourly", "five fields"),
        ("60 * * * *", "minute: must be"),
        ("0 24 * * *", "hour: must be"),
        ("0 * 0 * *", "day of the month"),
        ("0 * * 13 *", "month: must be"),
        ("0 * * * mon", "day of the week"),
        ("*/0 * * * *", "step after /"),
        ("9-3 * * * *", "minute: must be"),
        ("1,,2 * * * *", "minute: must be"),
    ],
)
def test_other_times_are_refused(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_cron(cron)


def test_secrets_and_stores_in_the_pod_are_refused() -> None:
    with pytest.raises(PipelineError, match="would be lost with its pod"):
        render_schedule(TEXT.replace("${EVERLEARN_STORAGE}", "here"), "0 * * * *")
    with pytest.raises(ValueError, match="Europe/Berlin"):
        render_schedule(TEXT, "0 * * * *", time_zone="Berlin; rm")


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=12))
def test_a_crontab_line_is_the_command_whatever_the_names(name: str) -> None:
    line = crontab_line("5  * * * *", "/usr/bin/printf", ["%s", name], "/")
    times, command = line[:9], line[10:]
    assert times == "5 * * * *"
    # As cron does it: what is escaped is a %, and a shell gets the rest.
    assert "%" not in command.replace(r"\%", "")
    words = shlex.split(command.replace(r"\%", "%"))
    assert words == ["cd", "/", "&&", "/usr/bin/printf", "step", "%s", name]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("a file.yaml")
    file.write_text(TEXT.replace("${EVERLEARN_STORAGE}", "store"))
    assert invoke(["schedule", file.name, "--cron", "0 * * * *", "--set", "seed=3"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"0 * * * * cd {shlex.quote(str(tmp_path))} && ")
    assert printed.rstrip().endswith("step 'a file.yaml' --set seed=3")
    file.write_text(TEXT)
    assert invoke(["schedule", file.name, "--cron", "0 * * * *", "--kubernetes"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == render_schedule(TEXT, "0 * * * *")
    assert invoke(["schedule", file.name, "--cron", "0 * *", "--kubernetes"]) == 2
    assert "--cron: must have five fields" in capsys.readouterr().err
    assert invoke(["schedule", file.name, "--cron", "0 * * * *", "--image", "x:1"]) == 2
    file.write_text("name: a\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n")
    assert invoke(["schedule", file.name, "--cron", "0 * * * *"]) == 2
    assert "nothing arrives here" in capsys.readouterr().err
