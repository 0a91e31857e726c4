"""The RayJob of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.jobs.kubernetes import JobOptions, render_job, to_yaml
from orchestrator.jobs.kubernetes.ray_job import LONGEST_NAME, job_name
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from tests.k8s.manifests import ROOT, pods
from tests.k8s.operators import refusals
from tests.k8s.restricted import violations
from tests.k8s.schemas import schema_errors

FILES = sorted((ROOT / "pipelines").rglob("*.yaml"))
TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental, experiences: 5}\nmodel: mlp\n"
SEARCH = "tune: {trials: 8, space: {train.optimizer.lr: {loguniform: [0.001, 0.1]}}}\n"


def check(manifests: list[dict[str, Any]]) -> None:
    job, files, network = manifests
    assert schema_errors(job) == []
    assert refusals(job) == []
    for manifest in (files, network):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    for pod in pods(manifests):
        assert violations(pod.spec) == [], pod.where
    assert list(yaml.safe_load_all(to_yaml(manifests))) == manifests


def spec(text: str = TEXT, kind: str = "run", **options: Any) -> dict[str, Any]:
    manifests = render_job(text, kind, JobOptions(**options))
    check(manifests)
    found: dict[str, Any] = manifests[0]["spec"]
    return found


def group(text: str, kind: str = "run", **options: Any) -> dict[str, Any]:
    (found,) = spec(text, kind, **options)["rayClusterSpec"]["workerGroupSpecs"]
    return dict(found)


def limits(found: dict[str, Any]) -> dict[str, str]:
    return dict(found["template"]["spec"]["containers"][0]["resources"]["limits"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("queue", [None, "everlearn"])
def test_every_pipeline_becomes_a_valid_job(path: Path, queue: str | None) -> None:
    text = path.read_text()
    kinds = ["run", "tune"] if "\ntune:" in text else ["run"]
    for kind in kinds:
        check(render_job(text, kind, JobOptions(suffix="a1b2c3", queue=queue), str(path)))


def test_the_file_is_carried_unchanged_and_mounted_where_the_driver_reads_it() -> None:
    job, files, _ = render_job(TEXT, "run")
    assert files["data"] == {"pipeline.yaml": TEXT}
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert {"name": "pipeline", "configMap": {"name": files["metadata"]["name"]}} in head["volumes"]
    (mount,) = [m for m in head["containers"][0]["volumeMounts"] if m["name"] == "pipeline"]
    assert job["spec"]["entrypoint"] == f"everlearn run {mount['mountPath']}/pipeline.yaml"


def test_overrides_are_in_the_file() -> None:
    options = JobOptions(overrides=["train.epochs=7", "strategy=[{name: ewc, lambda: 3}]", "storage=s3://b/${X}"])
    _, files, _ = render_job(TEXT, "run", options)
    document = yaml.safe_load(files["data"]["pipeline.yaml"])
    assert document["train"]["epochs"] == 7
    assert document["storage"] == "s3://b/${X}"
    plain = [text for text in options.overrides if not text.startswith("storage")]
    wanted = load_text(TEXT, overrides=[*plain, "storage=s3://b"])
    assert load_text(files["data"]["pipeline.yaml"], overrides=["storage=s3://b"]) == wanted


def test_variables_of_the_cluster_need_not_be_set_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEAM_BUCKET", raising=False)
    text = TEXT + 'storage: s3://${TEAM_BUCKET}/x\ntracking: {uri: "${TEAM_MLFLOW}"}\n'
    assert "s3://${TEAM_BUCKET}/x" in render_job(text, "run")[1]["data"]["pipeline.yaml"]


def test_one_pod_for_each_worker_and_no_autoscaler_for_a_fixed_number() -> None:
    cluster = spec(TEXT + "scaling: {workers: 3, resources: {CPU: 2}}\n")["rayClusterSpec"]
    (found,) = cluster["workerGroupSpecs"]
    assert (found["minReplicas"], found["replicas"], found["maxReplicas"]) == (3, 3, 3)
    assert limits(found) == {"cpu": "2", "memory": "4Gi"}
    assert "enableInTreeAutoscaling" not in cluster
    assert cluster["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_elastic_workers_are_scaled_by_ray() -> None:
    cluster = spec(TEXT + "scaling: {workers: [1, 4]}\n")["rayClusterSpec"]
    (found,) = cluster["workerGroupSpecs"]
    assert (found["minReplicas"], found["maxReplicas"]) == (1, 4)
    assert cluster["enableInTreeAutoscaling"] is True


def test_the_token_is_in_the_autoscaler_and_not_where_user_code_runs() -> None:
    cluster = spec(TEXT + "scaling: {workers: [1, 4]}\n")["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    (volume,) = [v["name"] for v in head["volumes"] if "projected" in v]
    assert volume in {mount["name"] for mount in cluster["autoscalerOptions"]["volumeMounts"]}
    assert volume not in {mount["name"] for mount in head["containers"][0]["volumeMounts"]}
    assert head["automountServiceAccountToken"] is False


def test_a_queued_job_has_one_size() -> None:
    found = group(TEXT + "scaling: {workers: [1, 4]}\n", queue="team")
    assert (found["minReplicas"], found["replicas"], found["maxReplicas"]) == (4, 4, 4)
    job, *_ = render_job(TEXT, "run", JobOptions(queue="team"))
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"


def test_gpus() -> None:
    found = group(TEXT + "scaling: {workers: 2, gpu: true, resources: {CPU: 4}}\n")
    assert limits(found) == {"cpu": "4", "memory": "4Gi", "nvidia.com/gpu": "1"}
    assert found["template"]["spec"]["tolerations"]


def test_trials_that_share_a_gpu_share_a_pod() -> None:
    text = TEXT + SEARCH.replace("trials: 8", "trials: 8, max_concurrent: 8, resources: {gpu: 0.25}")
    found = group(text, "tune")
    assert found["maxReplicas"] == 2
    assert limits(found) == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "1"}


def test_a_search_grows_to_the_trials_that_run_at_once() -> None:
    assert group(TEXT + SEARCH, "tune")["maxReplicas"] == 4
    assert group(TEXT + SEARCH.replace("8", "3"), "tune")["maxReplicas"] == 3


def test_resources_of_ones_own_are_passed_to_ray() -> None:
    found = group(TEXT + "scaling: {resources: {fast_disk: 2, memory: 9000000000}}\n")
    assert found["resources"] == {"fast_disk": "2"}
    assert limits(found)["memory"] == "9Gi"


def test_secrets_are_named_and_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "hunter2hunter2")
    manifests = render_job(TEXT, "run", JobOptions(variables=["HUB_TOKEN=hub/token"], secrets=["everlearn-s3", "team"]))
    check(manifests)
    assert "hunter2" not in to_yaml(manifests)
    for pod in list(pods(manifests))[1:]:
        main = pod.containers[0]
        reference = {"secretKeyRef": {"name": "hub", "key": "token"}}
        assert {"name": "HUB_TOKEN", "valueFrom": reference} in main["env"]
        assert {"secretRef": {"name": "team", "optional": True}} in main["envFrom"]


@pytest.mark.parametrize("variable", ["HUB_TOKEN=hunter2", "HUB_TOKEN", "1X=a/b", "X=Secret/key", "X=a/b/c"])
def test_a_value_in_the_place_of_a_secret_is_refused_and_not_repeated(variable: str) -> None:
    with pytest.raises(PipelineError, match="SECRET/KEY") as refused:
        render_job(TEXT, "run", JobOptions(variables=[variable]))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "line", ['tracking: {uri: "https://me:hunter2@mlflow"}', "storage: s3://AKIAIOSFODNN7EXAMPLE:hunter2@bucket"]
)
def test_a_secret_in_the_file_is_refused(line: str) -> None:
    with pytest.raises(PipelineError, match="<text>:4: looks like a secret") as refused:
        render_job(TEXT + line + "\n", "run")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "line", ["storage: ./store", "storage: /data", 'tracking: {uri: "sqlite:///mlflow.db"}', "tracking: {uri: runs}"]
)
def test_what_would_be_lost_with_the_pod_is_refused(line: str) -> None:
    with pytest.raises(PipelineError, match="lost with its pod"):
        render_job(TEXT + line + "\n", "run")


def test_a_search_needs_a_tune_section() -> None:
    with pytest.raises(PipelineError, match="no tune section"):
        render_job(TEXT, "tune")
    with pytest.raises(PipelineError, match="run, tune"):
        render_job(TEXT, "compare")


def test_tls() -> None:
    assert spec(tls=True)["rayClusterSpec"]["tlsOptions"] == {"enabled": True}


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,99}", fullmatch=True), st.sampled_from(["run", "tune"]))
def test_names_are_ones_that_the_operator_takes(pipeline: str, kind: str) -> None:
    import re

    name = job_name(pipeline, kind, "a1b2c3")
    assert len(name) <= LONGEST_NAME and re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert name.endswith(f"{kind}-a1b2c3")


def test_long_names_stay_apart() -> None:
    assert job_name("a" * 90 + "b", "run") != job_name("a" * 90 + "c", "run")
