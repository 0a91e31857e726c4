"""The manifests of k8s/ as kubectl builds them, and the pods in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.required import missing

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
CLUSTERS = ("base", "overlays/local", "overlays/aws", "overlays/gpu", "overlays/serving", "overlays/watch")
JOBS = ("jobs/run", "jobs/tune", "overlays/kueue")
BUILDS = CLUSTERS + JOBS

Manifest = dict[str, Any]


def kubectl() -> str:
    """Path of the program; a test without it is skipped, and fails in CI."""
    return shutil.which("kubectl") or missing("kubectl is not installed")


@cache
def build(folder: str) -> tuple[Manifest, ...]:
    """What `kubectl kustomize` makes of a folder of k8s/."""
    done = subprocess.run([kubectl(), "kustomize", str(K8S / folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kustomize warns: {done.stderr}"
    return tuple(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


@dataclass(frozen=True)
class Pod:
    """A pod template, where it is from, and the labels that its pods will have."""

    where: str
    labels: dict[str, str]
    spec: Manifest

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods(manifests: tuple[Manifest, ...] | list[Manifest]) -> Iterator[Pod]:
    """Every pod of some manifests. Those of KubeRay also have the labels and the autoscaler that it adds."""
    for manifest in manifests:
        kind, name, spec = manifest["kind"], manifest["metadata"]["name"], manifest.get("spec", {})
        if kind in ("Deployment", "StatefulSet", "Job"):
            yield _pod(f"{kind} {name}", spec["template"], {})
        elif kind == "CronJob":
            yield _pod(f"{kind} {name}", spec["jobTemplate"]["spec"]["template"], {})
        elif kind == "RayCluster":
            yield from _ray_pods(f"RayCluster {name}", name, spec)
        elif kind == "RayJob":
            yield _pod(f"RayJob {name} submitter", spec["submitterPodTemplate"], {})
            yield from _ray_pods(f"RayJob {name}", f"{name}-x7k2p", spec["rayClusterSpec"])
        elif kind == "RayService":
            yield from _ray_pods(f"RayService {name}", f"{name}-x7k2p", spec["rayClusterConfig"])


def _ray_pods(where: str, cluster: str, spec: Manifest) -> Iterator[Pod]:
    head = spec["headGroupSpec"]["template"]
    if spec.get("enableInTreeAutoscaling"):
        options = {key: value for key, value in spec["autoscalerOptions"].items() if key in _CONTAINER}
        image = head["spec"]["containers"][0]["image"]
        sidecar = {"name": "autoscaler", "image": image, **options}
        head = {**head, "spec": {**head["spec"], "containers": [*head["spec"]["containers"], sidecar]}}
    yield _pod(f"{where} head", head, {"ray.io/cluster": cluster, "ray.io/node-type": "head"})
    for group in spec["workerGroupSpecs"]:
        labels = {"ray.io/cluster": cluster, "ray.io/node-type": "worker", "ray.io/group": group["groupName"]}
        yield _pod(f"{where} {group['groupName']}", group["template"], labels)


_CONTAINER = ("env", "envFrom", "resources", "securityContext", "volumeMounts")


def _pod(where: str, template: Manifest, labels: dict[str, str]) -> Pod:
    return Pod(where, {**template["metadata"]["labels"], **labels}, template["spec"])


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector takes such labels; an empty one takes all."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return True
