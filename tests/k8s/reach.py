"""Who may speak with whom, computed from network policies as Kubernetes defines them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address, ip_network

from orchestrator.jobs.kubernetes import NAMESPACE, render_job
from tests.k8s.manifests import Manifest, build, pods, selects

JOB = "stream: {dataset: digits, setting: class-incremental, experiences: 5}\nmodel: mlp\n"
# What the manifests speak of, one of the ports that Ray chooses as it goes, and one of nobody.
PORTS = (22, 53, 80, 443, 5000, 5432, 6379, 6443, 8000, 8080, 8265, 9000, 9464, 10001, 20000)


@dataclass(frozen=True)
class Party:
    """Somebody who speaks or is spoken to.

    Attributes:
        name: as the table of k8s/README.md calls it.
        labels, namespace: of a pod.
        job: the job that a pod belongs to.
        address: of somebody who is no pod.
    """

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    namespace: str = NAMESPACE
    job: str = ""
    address: str = ""

    @property
    def ours(self) -> bool:
        """Whether policies of our namespace apply to it."""
        return not self.address and self.namespace == NAMESPACE


OTHERS = (
    Party("the operator", (("app.kubernetes.io/component", "kuberay-operator"),), "default"),
    Party("a pod of the namespace default", (), "default"),
    Party("Prometheus", (), "monitoring"),
    Party("the ingress controller", (), "ingress-nginx"),
    Party("DNS", (("k8s-app", "kube-dns"),), "kube-system"),
    Party("a pod of another namespace", (("app.kubernetes.io/component", "ray-head"),), "elsewhere"),
    Party("a pod without a label"),
    Party("the internet", address="203.0.113.7"),
    Party("the internet", address="2001:db8::7"),
    Party("a private address", address="10.1.2.3"),
    Party("a private address", address="fd12::3"),
    Party("the metadata service", address="169.254.169.254"),
    Party("the metadata service", address="fd00:ec2::254"),
)
# One fixed job, and one with an autoscaler.
JOBS = {"one": JOB + "scaling: {workers: 1}\n", "two": JOB + "scaling: {workers: [1, 4]}\n"}


@cache
def jobs() -> tuple[Manifest, ...]:
    """Two jobs, with what comes with them."""
    return tuple(m for name, text in JOBS.items() for m in copy.deepcopy(render_job(f"name: {name}\n{text}", "run")))


@cache
def parties(folder: str) -> tuple[Party, ...]:
    """The pods of some manifests and of two jobs, and others."""
    found = {}
    for manifest in (*build(folder), *jobs()):
        job = manifest["metadata"]["name"] if manifest["kind"] == "RayJob" else ""
        for pod in pods([manifest]):
            kind = "job" if job else "serving" if manifest["kind"] == "RayService" else "standing"
            name = pod.component.replace("ray-", f"{kind} ")
            if pod.labels.get("everlearn/kind") == "watch":
                name = "the watcher"
            if job and "everlearn/autoscaler" in pod.labels:
                name = f"autoscaled {name}"
            found[name, job] = Party(name, tuple(sorted(pod.labels.items())), job=job)
    return (*found.values(), *OTHERS)


@cache
def policies(folder: str, own: bool = True) -> tuple[Manifest, ...]:
    """The network policies of some manifests and, unless these are left out, of two jobs."""
    return tuple(m for m in (*build(folder), *(jobs() if own else ())) if m["kind"] == "NetworkPolicy")


def reach(folder: str, own: bool = True) -> Iterator[tuple[Party, Party, tuple[int, ...]]]:
    """Every pair of which one reaches a port of the other (TCP, and UDP for DNS), if not both are elsewhere."""
    everyone, rules = parties(folder), policies(folder, own)
    for source in everyone:
        for target in everyone:
            if source.ours or target.ours:
                ports = tuple(
                    port
                    for port in PORTS
                    if _side(rules, source, "Egress", target, port) and _side(rules, target, "Ingress", source, port)
                )
                if ports:
                    yield source, target, ports


def _side(rules: tuple[Manifest, ...], party: Party, direction: str, other: Party, port: int) -> bool:
    if not party.ours:
        return True
    key, end = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    chosen = [p["spec"] for p in rules if selects(p["spec"]["podSelector"], dict(party.labels))]
    chosen = [spec for spec in chosen if direction in spec["policyTypes"]]
    if not chosen:
        return True
    return any(_rule(rule, end, other, port) for spec in chosen for rule in spec.get(key, []))


def _rule(rule: Manifest, end: str, other: Party, port: int) -> bool:
    if "ports" in rule and port not in [p["port"] for p in rule["ports"]]:
        return False
    return not rule.get(end) or any(_peer(peer, other) for peer in rule[end])


def _peer(peer: Manifest, other: Party) -> bool:
    if "ipBlock" in peer:
        # A network plugin may or may not count pods in: nothing inside may depend on it.
        if not other.address:
            return False
        block, address = peer["ipBlock"], ip_address(other.address)
        left_out = any(address in ip_network(part) for part in block.get("except", []))
        return address in ip_network(block["cidr"]) and not left_out
    if other.address:
        return False
    names = {"kubernetes.io/metadata.name": other.namespace}
    if not (selects(peer["namespaceSelector"], names) if "namespaceSelector" in peer else other.ours):
        return False
    return selects(peer.get("podSelector", {}), dict(other.labels))
