"""The network policy of a job: its Ray pods reach each other, and no pods of another job."""

from __future__ import annotations

from typing import Any

from orchestrator.jobs.kubernetes.pod_template import Manifest

INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
DASHBOARD = 8265


def network_policy(metadata: Manifest) -> Manifest:
    """The NetworkPolicy of the job with this metadata.

    What no policy allows is denied (`default-deny` in `k8s/base/network.yaml`), and Kubernetes has no way to say "pods
    of the same job" once for all jobs: each brings its own. KubeRay's `networkPolicy` would do the same, but in KubeRay
    1.7 it is behind a feature gate that is off, and a cluster without the gate would leave the jobs without any.
    """
    name = metadata["name"]
    cluster: dict[str, Any] = {
        "matchLabels": {INSTANCE: name},
        "matchExpressions": [{"key": COMPONENT, "operator": "In", "values": ["ray-head", "ray-worker"]}],
    }
    submitter = {"matchLabels": {INSTANCE: name, COMPONENT: "ray-submitter"}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": cluster,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                # Heads and workers choose ports as they go.
                {"from": [{"podSelector": cluster}]},
                {"from": [{"podSelector": submitter}], "ports": [{"protocol": "TCP", "port": DASHBOARD}]},
            ],
            "egress": [{"to": [{"podSelector": cluster}]}],
        },
    }
