"""The manifests of k8s/: they build, the API server's schemas and the operators take them, and they are safe."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from orchestrator.jobs.kubernetes.ray_job import CREDENTIALS, IMAGE, NAMESPACE, SETTINGS, render_job, to_yaml
from orchestrator.redact import redact
from tests.k8s.manifests import BUILDS, CLUSTERS, JOBS, K8S, ROOT, Manifest, Pod, build, pods
from tests.k8s.operators import refusals
from tests.k8s.restricted import violations
from tests.k8s.schemas import schema_errors

FOREIGN = ("ray.io/", "kueue.x-k8s.io/", "monitoring.coreos.com/")
# Most manifests are the same in every overlay.
VALID: set[str] = set()
EXAMPLES = {"run": "split-digits", "tune": "split-mnist"}

each_build = pytest.mark.parametrize("folder", BUILDS)
each_cluster = pytest.mark.parametrize("folder", CLUSTERS)


def of_kind(folder: str, *kinds: str) -> Iterator[Manifest]:
    return (manifest for manifest in build(folder) if manifest["kind"] in kinds)


@each_build
def test_core_kinds_are_valid(folder: str) -> None:
    version = kubernetes_validate.latest_version()
    for manifest in build(folder):
        written = json.dumps(manifest)
        if not manifest["apiVersion"].startswith(FOREIGN) and written not in VALID:
            kubernetes_validate.validate(manifest, version, strict=True)
            VALID.add(written)


@each_build
def test_ray_kinds_match_their_definitions(folder: str) -> None:
    for manifest in of_kind(folder, "RayCluster", "RayJob", "RayService"):
        assert schema_errors(manifest) == [], manifest["metadata"]["name"]


@each_build
def test_the_operators_take_them(folder: str) -> None:
    found = list(of_kind(folder, "RayCluster", "RayJob", "RayService"))
    assert found
    for manifest in found:
        assert refusals(manifest) == [], manifest["metadata"]["name"]


@each_build
def test_every_pod_is_restricted_and_cannot_write_its_root(folder: str) -> None:
    for pod in pods(build(folder)):
        assert violations(pod.spec) == [], pod.where
        for container in pod.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, pod.where


@each_build
def test_every_container_has_requests_and_limits_and_a_pinned_image(folder: str) -> None:
    for pod in pods(build(folder)):
        for container in pod.containers:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]) & set(resources["limits"]), pod.where
            name, _, tag = container["image"].rpartition(":")
            assert name and "/" not in tag and re.search(r"\d", tag) and tag != "latest", container["image"]


@each_cluster
def test_every_server_has_probes(folder: str) -> None:
    for manifest in of_kind(folder, "Deployment", "StatefulSet"):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), container["name"]


@each_build
def test_everything_is_in_the_namespace(folder: str) -> None:
    without = (
        "Namespace",
        "ResourceFlavor",
        "ClusterQueue",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    )
    for manifest in build(folder):
        if manifest["kind"] not in without:
            assert manifest["metadata"]["namespace"] == NAMESPACE, manifest["metadata"]["name"]


def test_the_namespace_is_restricted() -> None:
    (namespace,) = of_kind("base", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@each_build
def test_no_secret_is_written_down(folder: str) -> None:
    for manifest in build(folder):
        assert manifest["kind"] != "Secret"
        for key, value in manifest.get("data", {}).items():
            assert not re.search(r"://[^/\s@]*:[^/\s@]*@", value), key
            assert "://" in value or redact(value) == value, key
    for pod in pods(build(folder)):
        for variable in (v for container in pod.containers for v in container.get("env", [])):
            if re.search(r"(?i)passw|secret|token|key", variable["name"]):
                assert set(variable) == {"name", "valueFrom"}, f"{pod.where}: {variable['name']}"


def references(pod: Pod) -> Iterator[tuple[str, str, bool]]:
    """(kind, name, whether it must be there) of the secrets and ConfigMaps that a pod uses."""
    for container in pod.containers:
        for source in container.get("envFrom", []):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    yield kind, source[key]["name"], not source[key].get("optional", False)
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                yield "Secret", variable["valueFrom"]["secretKeyRef"]["name"], True
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], True


@each_build
def test_what_pods_refer_to_is_there_or_is_made_by_the_readme(folder: str) -> None:
    everything = (*build(folder), *build("base"))
    configs = {manifest["metadata"]["name"] for manifest in everything if manifest["kind"] == "ConfigMap"}
    accounts = {manifest["metadata"]["name"] for manifest in everything if manifest["kind"] == "ServiceAccount"}
    secrets = set(re.findall(r"create secret generic (\S+)", (K8S / "README.md").read_text()))
    for pod in pods(build(folder)):
        for kind, name, _ in references(pod):
            assert name in (configs if kind == "ConfigMap" else secrets), f"{pod.where}: {kind} {name}"
        assert pod.spec.get("serviceAccountName", "default") in accounts | {"default"}, pod.where
        mounted = {mount["name"] for container in pod.containers for mount in container["volumeMounts"]}
        claims = {"data"} if pod.component in ("postgres", "s3") else set()
        assert mounted == {volume["name"] for volume in pod.spec["volumes"]} | claims, pod.where


@each_build
def test_only_an_autoscaler_gets_a_token_of_kubernetes(folder: str) -> None:
    for pod in pods(build(folder)):
        assert pod.spec["automountServiceAccountToken"] is False, pod.where
        tokens = {volume["name"] for volume in pod.spec["volumes"] if "projected" in volume}
        for container in pod.containers:
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            own = container["name"] == "autoscaler"
            assert bool(mounted & tokens) is own and ("tmp" in mounted) is not own, f"{pod.where}: {container['name']}"


def test_roles_give_no_secrets_and_no_wildcards() -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind("base", "Role")}
    for role in roles.values():
        for rule in role["rules"]:
            words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
            assert "*" not in words and "secrets" not in words and not any("exec" in word for word in words)
    bindings = list(of_kind("base", "RoleBinding"))
    assert {binding["roleRef"]["name"] for binding in bindings} == set(roles)
    assert not list(of_kind("base", "ClusterRole", "ClusterRoleBinding"))


@pytest.mark.parametrize("folder", CLUSTERS)
def test_services_and_budgets_select_pods(folder: str) -> None:
    found = list(pods(build(folder)))
    for manifest in of_kind(folder, "Service"):
        chosen = [pod for pod in found if manifest["spec"]["selector"].items() <= pod.labels.items()]
        assert len(chosen) == 1, manifest["metadata"]["name"]
        ports = {port["name"]: port["containerPort"] for c in chosen[0].containers for port in c.get("ports", [])}
        for port in manifest["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    for manifest in of_kind(folder, "PodDisruptionBudget"):
        wanted = manifest["spec"]["selector"]["matchLabels"]
        assert any(wanted.items() <= pod.labels.items() for pod in found), manifest["metadata"]["name"]


def test_mlflow_answers_to_the_names_that_the_settings_use() -> None:
    configs = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind("base", "ConfigMap")}
    allowed = configs["mlflow-settings"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert configs[SETTINGS]["MLFLOW_TRACKING_URI"].removeprefix("http://") in allowed


@pytest.mark.parametrize("folder", CLUSTERS)
def test_ray_and_mlflow_agree_on_the_region_and_the_endpoint(folder: str) -> None:
    configs = {manifest["metadata"]["name"]: manifest["data"] for manifest in of_kind(folder, "ConfigMap")}
    ray, mlflow = configs[SETTINGS], configs["mlflow-settings"]
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        assert ray.get(name) == mlflow.get(name), name
    assert ray["EVERLEARN_STORAGE"].split("/")[2] == mlflow["MLFLOW_ARTIFACTS_DESTINATION"].split("/")[2]


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_jobs_are_what_submit_renders(kind: str) -> None:
    text = (ROOT / "pipelines" / "examples" / f"{EXAMPLES[kind]}.yaml").read_text()
    assert (K8S / "jobs" / kind / "job.yaml").read_text() == to_yaml(render_job(text, kind))


def test_aws_uses_roles_instead_of_keys() -> None:
    accounts = {
        account["metadata"]["name"]: account["metadata"] for account in of_kind("overlays/aws", "ServiceAccount")
    }
    for name in ("ray-head", "ray-worker", "mlflow"):
        assert accounts[name]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:aws:iam::")
    for name in ("ray-submitter", "postgres"):
        assert "annotations" not in accounts[name]
    images = {c["image"] for pod in pods(build("overlays/aws")) for c in pod.containers}
    assert not any(image.startswith("everlearn:") for image in images)


def test_gpu_workers_ask_for_a_gpu_and_tolerate_its_nodes() -> None:
    (cluster,) = of_kind("overlays/gpu", "RayCluster")
    (cpu, gpu) = cluster["spec"]["workerGroupSpecs"]
    limits = [group["template"]["spec"]["containers"][0]["resources"]["limits"] for group in (cpu, gpu)]
    assert "nvidia.com/gpu" not in limits[0] and limits[1]["nvidia.com/gpu"] == "1"
    assert gpu["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_queued_jobs_name_a_queue_that_is_there() -> None:
    queues = {queue["metadata"]["name"] for queue in of_kind("overlays/kueue", "LocalQueue")}
    for job in of_kind("overlays/kueue", "RayJob"):
        assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] in queues


@pytest.mark.parametrize("component", ["tls", "kueue"])
def test_components_hold_for_every_cluster(component: str, tmp_path: Any) -> None:
    assert (K8S / "components" / component / "kustomization.yaml").exists()
    content = yaml.safe_load((K8S / "components" / component / "kustomization.yaml").read_text())
    assert content["kind"] == "Component"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_service_is_one_that_ray_serve_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.serve.schema import ServeDeploySchema

    (service,) = of_kind("overlays/serving", "RayService")
    config = ServeDeploySchema(**yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = config.applications
    workers = service["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    port = {"name": "serve", "containerPort": config.http_options.port}
    assert port in workers["template"]["spec"]["containers"][0]["ports"]
    assert application.args["replicas"] == workers["replicas"]
    (files,) = (m for m in of_kind("overlays/serving", "ConfigMap") if m["metadata"]["name"] == "serve-digits")
    (tmp_path / "pipeline.yaml").write_text(files["data"]["pipeline.yaml"])
    monkeypatch.setenv("EVERLEARN_STORAGE", "s3://bucket/lineages")
    place = f"/etc/everlearn/{next(iter(files['data']))}"
    assert application.args["file"] == place
    module, _, function = application.import_path.partition(":")
    build_application = getattr(importlib.import_module(module), function)
    made = build_application({**application.args, "file": str(tmp_path / "pipeline.yaml")})
    assert made._bound_deployment.num_replicas == 2 and application.name == "everlearn-digits"


def test_tls_is_what_the_definitions_know() -> None:
    (cluster,) = of_kind("base", "RayCluster")
    changed = {**cluster, "spec": {**cluster["spec"], "tlsOptions": {"enabled": True}}}
    assert schema_errors(changed) == [] and refusals(changed) == []


def test_one_image_of_one_version() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    ray = re.search(r"^ray==(\S+)$", lock, re.MULTILINE)
    own = re.search(r'^version = "(\S+)"$', project, re.MULTILINE)
    assert ray is not None and own is not None
    assert f"everlearn:{own[1]}" == IMAGE
    for folder in (*CLUSTERS, *JOBS):
        for manifest in of_kind(folder, "RayCluster", "RayJob", "RayService"):
            spec = manifest["spec"]
            cluster = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec
            assert cluster["rayVersion"] == ray[1]
    assert any(name == CREDENTIALS for pod in pods(build("base")) for _, name, _ in references(pod))
