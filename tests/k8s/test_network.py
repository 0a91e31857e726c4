"""Who may speak with whom, computed from the network policies as Kubernetes defines them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from tests.k8s.manifests import Manifest, Pod, build, pods, selects

OUTSIDE = "outside"


@cache
def everyone(folder: str) -> dict[str, Pod]:
    """One pod of each component; the submitter comes with a job."""
    return {pod.component: pod for pod in (*pods(build("jobs/run")), *pods(build(folder)))}


def policies(folder: str) -> list[Manifest]:
    return [manifest for manifest in build(folder) if manifest["kind"] == "NetworkPolicy"]


def may(folder: str, source: str, target: str, port: int) -> bool:
    """Whether pods of one component reach a TCP port of another, or of something outside of the cluster."""
    out = _side(folder, source, "Egress", target, port)
    return out and (target == OUTSIDE or _side(folder, target, "Ingress", source, port))


def _side(folder: str, component: str, direction: str, other: str, port: int) -> bool:
    pod = everyone(folder)[component]
    key, end = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    chosen = [p["spec"] for p in policies(folder) if selects(p["spec"]["podSelector"], pod.labels)]
    chosen = [spec for spec in chosen if direction in spec["policyTypes"]]
    if not chosen:
        return True
    return any(_rule(folder, rule, end, other, port) for spec in chosen for rule in spec.get(key, []))


def _rule(folder: str, rule: Manifest, end: str, other: str, port: int) -> bool:
    if "ports" in rule and not any(p["port"] == port and p.get("protocol", "TCP") == "TCP" for p in rule["ports"]):
        return False
    return end not in rule or any(_peer(folder, peer, other) for peer in rule[end])


def _peer(folder: str, peer: Manifest, other: str) -> bool:
    if "ipBlock" in peer:
        # A network plugin may or may not count pods in: nothing inside may depend on it.
        return other == OUTSIDE
    if "namespaceSelector" in peer or other == OUTSIDE:
        return False
    return selects(peer["podSelector"], everyone(folder)[other].labels)


@pytest.mark.parametrize("folder", ["base", "overlays/aws", "overlays/gpu", "overlays/local"])
class TestReach:
    @pytest.mark.parametrize(
        ("source", "target", "port"),
        [
            ("ray-head", "ray-worker", 10002),
            ("ray-worker", "ray-head", 6379),
            ("ray-worker", "ray-worker", 20000),
            ("ray-head", "mlflow", 5000),
            ("ray-worker", "mlflow", 5000),
            ("mlflow", "postgres", 5432),
            ("ray-submitter", "ray-head", 8265),
            ("ray-worker", OUTSIDE, 443),
            ("mlflow", OUTSIDE, 443),
            ("ray-head", OUTSIDE, 6443),
        ],
    )
    def test_what_has_to_work_works(self, folder: str, source: str, target: str, port: int) -> None:
        assert may(folder, source, target, port)

    @pytest.mark.parametrize(
        ("source", "target", "port"),
        [
            ("ray-head", "postgres", 5432),
            ("ray-worker", "postgres", 5432),
            ("ray-submitter", "postgres", 5432),
            ("ray-submitter", "mlflow", 5000),
            ("ray-submitter", "ray-worker", 8265),
            ("ray-submitter", "ray-head", 6379),
            ("mlflow", "ray-head", 8265),
            ("postgres", "mlflow", 5000),
            ("postgres", OUTSIDE, 443),
            ("ray-submitter", OUTSIDE, 443),
            ("ray-worker", OUTSIDE, 80),
            ("ray-worker", OUTSIDE, 6443),
        ],
    )
    def test_the_rest_does_not(self, folder: str, source: str, target: str, port: int) -> None:
        assert not may(folder, source, target, port)

    def test_every_policy_speaks_of_pods_that_are_there(self, folder: str) -> None:
        labels = [pod.labels for pod in everyone(folder).values()]
        for policy in policies(folder):
            spec = policy["spec"]
            selectors: list[dict[str, Any]] = [spec["podSelector"]]
            for rule in (*spec.get("ingress", []), *spec.get("egress", [])):
                for peer in (*rule.get("from", []), *rule.get("to", [])):
                    if "podSelector" in peer and "namespaceSelector" not in peer:
                        selectors.append(peer["podSelector"])
            for selector in selectors:
                for part in _parts(selector):
                    assert any(selects(part, found) for found in labels), f"{policy['metadata']['name']}: {part}"

    def test_pods_without_a_rule_are_shut_in(self, folder: str) -> None:
        deny = [p["spec"] for p in policies(folder) if p["metadata"]["name"] == "default-deny"]
        assert deny == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]


def _parts(selector: Manifest) -> list[Manifest]:
    """A selector of one of several values as one selector for each."""
    rules = selector.get("matchExpressions")
    if not rules:
        return [selector]
    return [{"matchLabels": {rule["key"]: value}} for rule in rules for value in rule["values"]]


def test_the_local_s3_server_is_reached_by_those_who_use_it() -> None:
    for source in ("ray-head", "ray-worker", "mlflow", "bucket"):
        assert may("overlays/local", source, "s3", 9000)
    for source in ("postgres", "ray-submitter"):
        assert not may("overlays/local", source, "s3", 9000)


def test_the_dashboard_admits_the_operator_of_one_namespace() -> None:
    (policy,) = [p for p in policies("base") if p["metadata"]["name"] == "ray-dashboard"]
    (operator,) = [peer for peer in policy["spec"]["ingress"][0]["from"] if "namespaceSelector" in peer]
    assert operator["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
    assert operator["podSelector"] == {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}}
