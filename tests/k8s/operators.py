"""What KubeRay 1.7 and Kueue 0.19 refuse beyond the schemas of their resources."""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LONGEST = {"RayJob": 47, "RayService": 47, "RayCluster": 63}
_RAY_RESOURCES = ("num-cpus", "num-gpus", "memory", "resources")


def refusals(manifest: dict[str, Any]) -> list[str]:
    """Why the operators refuse a RayCluster, a RayJob or a RayService."""
    kind, metadata, spec = manifest["kind"], manifest["metadata"], manifest["spec"]
    found = []
    if len(metadata["name"]) > _LONGEST[kind]:
        found.append(f"the name has more than {_LONGEST[kind]} characters")
    if not _NAME.fullmatch(metadata["name"]):
        found.append("the name is no DNS label that begins with a letter")
    if kind == "RayCluster":
        return found + _cluster(spec)
    if kind == "RayService":
        return found + _service(spec)
    found += _job(spec)
    if "kueue.x-k8s.io/queue-name" in metadata.get("labels", {}):
        found += _queued(spec)
    return found


def _job(spec: dict[str, Any]) -> list[str]:
    found = []
    cluster, selector, mode = spec.get("rayClusterSpec"), spec.get("clusterSelector"), spec.get("submissionMode")
    if (cluster is None) == (not selector):
        found.append("exactly one of rayClusterSpec and clusterSelector")
    if selector and spec.get("backoffLimit"):
        found.append("backoffLimit excludes clusterSelector")
    if mode not in (None, "K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"):
        found.append(f"unknown submission mode {mode}")
    if mode == "SidecarMode" and (spec.get("submitterPodTemplate") or spec.get("submitterConfig") or selector):
        found.append("SidecarMode excludes submitterPodTemplate, submitterConfig and clusterSelector")
    if mode == "InteractiveMode" and spec.get("backoffLimit"):
        found.append("InteractiveMode excludes backoffLimit")
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        found.append("suspend needs shutdownAfterJobFinishes")
    if spec.get("ttlSecondsAfterFinished", 0) < 0:
        found.append("ttlSecondsAfterFinished is negative")
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        found.append("ttlSecondsAfterFinished needs shutdownAfterJobFinishes")
    if spec.get("backoffLimit", 0) < 0 or spec.get("activeDeadlineSeconds", 1) <= 0:
        found.append("backoffLimit or activeDeadlineSeconds out of range")
    if mode in (None, "K8sJobMode") and "submitterPodTemplate" not in spec:
        found.append("the default submitter has no securityContext: a restricted namespace refuses it")
    submitter = spec.get("submitterPodTemplate", {}).get("spec", {})
    if submitter.get("restartPolicy", "Never") == "Always":
        found.append("a submitter never restarts always")
    return found + (_cluster(cluster) if cluster else [])


def _service(spec: dict[str, Any]) -> list[str]:
    found = []
    if spec.get("rayClusterDeletionDelaySeconds", 0) < 0:
        found.append("rayClusterDeletionDelaySeconds is negative")
    if spec.get("upgradeStrategy", {}).get("type", "NewCluster") not in ("NewCluster", "None"):
        found.append("upgrades step by step need a feature gate")
    groups = [spec["rayClusterConfig"]["headGroupSpec"], *spec["rayClusterConfig"]["workerGroupSpecs"]]
    for group in groups:
        ports = [port["name"] for port in group["template"]["spec"]["containers"][0].get("ports", [])]
        if "serve" not in ports:
            found.append("the service has no port: a container has none of the name serve")
    return found + _cluster(spec["rayClusterConfig"])


def _cluster(spec: dict[str, Any]) -> list[str]:
    found = []
    head, groups = spec["headGroupSpec"], spec.get("workerGroupSpecs", [])
    for where, group in [("head", head), *((group["groupName"], group) for group in groups)]:
        if not group["template"]["spec"]["containers"]:
            found.append(f"{where}: no container")
        parameters = group.get("rayStartParams", {})
        if group.get("resources") and any(parameters.get(key) for key in _RAY_RESOURCES):
            found.append(f"{where}: resources in rayStartParams and in resources")
        if "labels" in parameters:
            found.append(f"{where}: labels in rayStartParams")
        if any(not isinstance(value, str) for value in parameters.values()):
            found.append(f"{where}: rayStartParams are text")
    names = [group["groupName"] for group in groups]
    if len(set(names)) < len(names):
        found.append("two worker groups of one name")
    for group in groups:
        low, high = group.get("minReplicas", 0), group.get("maxReplicas", 2**31 - 1)
        if not 0 <= low <= high or not low <= group.get("replicas", low) <= high:
            found.append(f"{group['groupName']}: replicas are not between minReplicas and maxReplicas")
    if spec.get("enableInTreeAutoscaling"):
        found += _autoscaled(spec, [head, *groups])
    if spec.get("authOptions", {}).get("mode") == "token":
        version = spec.get("rayVersion", "")
        if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < (2, 52):
            found.append("token authentication needs rayVersion 2.52.0 or later")
    return found


def _autoscaled(spec: dict[str, Any], groups: list[dict[str, Any]]) -> list[str]:
    found = []
    if spec.get("autoscalerOptions", {}).get("version") == "v2":
        policies = {group["template"]["spec"].get("restartPolicy", "Never") for group in groups}
        if policies != {"Never"}:
            found.append("with the autoscaler v2, restartPolicy is Never or unset")
        environment = groups[0]["template"]["spec"]["containers"][0].get("env", [])
        if any(variable["name"] == "RAY_enable_autoscaler_v2" for variable in environment):
            found.append("autoscalerOptions.version and RAY_enable_autoscaler_v2")
    if any(group.get("suspend") for group in groups):
        found.append("an autoscaled group cannot be suspended")
    return found


def _queued(spec: dict[str, Any]) -> list[str]:
    found = []
    if not spec.get("shutdownAfterJobFinishes"):
        found.append("Kueue: shutdownAfterJobFinishes must be true")
    if spec.get("clusterSelector"):
        found.append("Kueue: no clusterSelector")
    if spec.get("rayClusterSpec", {}).get("enableInTreeAutoscaling"):
        found.append("Kueue: a job that grows cannot be admitted as a whole")
    return found
