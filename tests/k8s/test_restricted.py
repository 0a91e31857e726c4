"""The checker refuses what the pod security level refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.jobs.kubernetes.pod_template import container, pod_template
from tests.k8s.restricted import violations


def good() -> dict[str, Any]:
    made = container("main", "image:1", {"cpu": "1", "memory": "1Gi"}, environment={})
    spec: dict[str, Any] = pod_template("ray-worker", made, labels={}, account="ray-worker")["spec"]
    return copy.deepcopy(spec)


def context(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["containers"][0]["securityContext"]
    return found


def test_the_pods_of_jobs_are_taken() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda spec: spec.update(hostNetwork=True),
        lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        lambda spec: spec["securityContext"].pop("runAsNonRoot"),
        lambda spec: spec["securityContext"].update(runAsUser=0),
        lambda spec: spec["securityContext"].pop("seccompProfile"),
        lambda spec: spec["securityContext"].update(seccompProfile={"type": "Unconfined"}),
        lambda spec: spec["containers"][0].pop("securityContext"),
        lambda spec: context(spec).pop("allowPrivilegeEscalation"),
        lambda spec: context(spec).update(privileged=True),
        lambda spec: context(spec).update(capabilities={"drop": ["NET_RAW"]}),
        lambda spec: context(spec)["capabilities"].update(add=["SYS_ADMIN"]),
        lambda spec: spec["containers"][0].update(ports=[{"containerPort": 1, "hostPort": 1}]),
        lambda spec: spec.update(initContainers=[{"name": "init", "image": "image:1"}]),
    ],
)
def test_every_lapse_is_found(spoil: Callable[[dict[str, Any]], None]) -> None:
    spec = good()
    spoil(spec)
    assert violations(spec)
