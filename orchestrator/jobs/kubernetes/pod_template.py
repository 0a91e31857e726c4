"""The pods of a Ray cluster, such that a namespace with the `restricted` pod security level takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]

# The image's own user: Kubernetes cannot tell from a name that a user is not root.
USER = 1000
FOLDER = "/etc/everlearn"


def pod_template(
    component: str,
    container: Mapping[str, Any],
    *,
    labels: Mapping[str, str],
    account: str,
    token: bool = False,
    volumes: Sequence[Manifest] = (),
    gpu: bool = False,
) -> Manifest:
    """A pod of one container.

    Args:
        component: ray-head, ray-worker or ray-submitter: the network policies go by it.
        account: the service account; `token`: whether the pod may speak with Kubernetes in its name.
        gpu: whether it runs on a node that only pods with GPUs may use.
    """
    spec: Manifest = {
        "serviceAccountName": account,
        "automountServiceAccountToken": token,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [dict(container)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *volumes],
    }
    if gpu:
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    return {"metadata": {"labels": {**labels, "app.kubernetes.io/component": component}}, "spec": spec}


def container(
    name: str,
    image: str,
    resources: Mapping[str, str],
    *,
    environment: Mapping[str, Any],
    mounts: Sequence[Manifest] = (),
    ports: Mapping[str, int] | None = None,
) -> Manifest:
    """A container that takes exactly `resources`: Ray schedules by its limits, so that less must never be there.

    Args:
        environment: its `env` and `envFrom`.
        ports: numbers by name.
    """
    found: Manifest = {
        "name": name,
        "image": image,
        **environment,
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": confined(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mounts],
    }
    if ports:
        found["ports"] = [{"name": port, "containerPort": number} for port, number in ports.items()]
    return found


def confined() -> Manifest:
    """A container without any privilege, on a file system that it cannot change."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
