"""Pods of a Ray cluster that a namespace with the `restricted` pod security level accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Manifest = dict[str, Any]

# The user of the image, as a number: from a name Kubernetes cannot see that a user is not root.
USER = 1000
FOLDER = "/etc/everlearn"


def pod_template(
    component: str,
    container: Mapping[str, Any],
    *,
    labels: Mapping[str, str],
    account: str,
    volumes: Sequence[Manifest] = (),
    gpu: bool = False,
) -> Manifest:
    """A pod with one container.

    Args:
        component: ray-head, ray-worker or ray-submitter; the network policies select pods by it.
        account: name of the service account.
        gpu: whether the pod tolerates the taint of GPU nodes.
    """
    spec: Manifest = {
        "serviceAccountName": account,
        # User code runs in these pods: an autoscaler mounts its token by itself.
        "automountServiceAccountToken": False,
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
    """A container with requests equal to limits: Ray schedules by the limits, so that they must be guaranteed.

    Args:
        environment: its `env` and `envFrom`.
        ports: port numbers by name.
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
    """A security context without privileges, with a read-only root file system."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
