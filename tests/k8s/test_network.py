"""Who may speak with whom is what the table of k8s/README.md says, and no more.

Covers: `orchestrator/jobs/kubernetes/network_policy.py`
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.jobs.kubernetes.network_policy import network_policy
from tests.k8s.manifests import CLUSTERS, K8S, Manifest, selects
from tests.k8s.reach import PORTS, jobs, parties, policies, reach

Row = tuple[str, str, str]
GROUPS = {
    "standing pods": ("standing head", "standing worker"),
    "serving pods": ("serving head", "serving worker"),
    "job pods": ("job head", "autoscaled job head", "job worker"),
    "job heads": ("job head", "autoscaled job head"),
    "every pod": (
        *(
            "standing head",
            "standing worker",
            "serving head",
            "serving worker",
            "job head",
            "autoscaled job head",
            "job worker",
            "job submitter",
        ),
        *("the watcher", "mlflow", "postgres", "s3", "bucket", "a pod without a label"),
    ),
}


def told(folder: str) -> set[Row]:
    """The rows of the table, for these manifests: who, whom, and the ports."""
    table = (K8S / "README.md").read_text().partition("| From | To | Ports | Where |")[2].partition("\n\n")[0]
    found = set()
    for line in table.splitlines()[2:]:
        sources, targets, ports, where = (cell.strip() for cell in line.strip("|").split("|"))
        if where != "everywhere" and f"`{folder}`" not in where:
            continue
        for source in members(sources, folder):
            for target in members(targets, folder):
                found.add((source, target, ports))
    return found


def members(cell: str, folder: str) -> Iterator[str]:
    """The parties that a cell names; `its own` before one stays."""
    here = {party.name for party in parties(folder)}
    for name in cell.split(", "):
        own, name = ("its own ", name.removeprefix("its own ")) if name.startswith("its own ") else ("", name)
        found = [each for each in GROUPS.get(name, (name,)) if each in here]
        assert found or name not in GROUPS, name
        yield from (own + each for each in found or [name])


def computed(folder: str) -> set[Row]:
    """The same from the policies."""
    found = set()
    for source, target, ports in reach(folder):
        own = "its own " if target.job and target.job == source.job else ""
        found.add((source.name, own + target.name, "all" if ports == PORTS else ", ".join(map(str, ports))))
    return found


@pytest.mark.parametrize("folder", CLUSTERS)
def test_the_table_says_who_reaches_what(folder: str) -> None:
    # A job with an autoscaler has one kind of head, one without the other.
    said = {row for row in told(folder) if possible(row)}
    found = computed(folder)
    assert found - said == set() and said - found == set()


def possible(row: Row) -> bool:
    own = row[1].startswith("its own")
    return not (own and {"job head", "autoscaled job head"} == {row[0], row[1].removeprefix("its own ")})


@pytest.mark.parametrize("folder", CLUSTERS)
def test_pods_of_different_jobs_do_not_reach_each_other(folder: str) -> None:
    for source, target, _ in reach(folder):
        if source.job and target.ours and target.name not in ("mlflow", "s3"):
            assert source.job == target.job, f"{source.name} of {source.job} reaches {target.name} {target.job}"
        if target.job and source.ours:
            assert source.job == target.job, f"{source.name} reaches {target.name} of {target.job}"


def test_without_its_policy_a_job_is_shut_in() -> None:
    for source, target, _ in reach("base", own=False):
        assert not (target.job and source.ours), f"{source.name} reaches {target.name}"


@pytest.mark.parametrize("folder", CLUSTERS)
class TestPolicies:
    def test_every_policy_speaks_of_pods_that_are_there(self, folder: str) -> None:
        labels = [dict(party.labels) for party in parties(folder) if party.ours]
        for policy in policies(folder):
            selectors = [policy["spec"]["podSelector"]]
            here = [peer for peer in _peers(policy) if "namespaceSelector" not in peer]
            selectors += [peer["podSelector"] for peer in here if "podSelector" in peer]
            for part in (part for selector in selectors for part in _parts(selector)):
                assert any(selects(part, found) for found in labels), f"{policy['metadata']['name']}: {part}"

    def test_pods_without_a_rule_are_shut_in(self, folder: str) -> None:
        deny = [p["spec"] for p in policies(folder) if p["metadata"]["name"] == "default-deny"]
        assert deny == [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]

    def test_every_way_out_states_where_to(self, folder: str) -> None:
        for policy in policies(folder):
            assert all(rule.get("to") for rule in policy["spec"].get("egress", [])), policy["metadata"]["name"]


def _peers(policy: Manifest) -> list[dict[str, Any]]:
    rules = (*policy["spec"].get("ingress", []), *policy["spec"].get("egress", []))
    return [peer for rule in rules for peer in (*rule.get("from", []), *rule.get("to", []))]


def _parts(selector: Manifest) -> list[Manifest]:
    """A selector of one of several values as one selector for each."""
    rules = selector.get("matchExpressions")
    if not rules:
        return [selector]
    return [{"matchLabels": {rule["key"]: value}} for rule in rules for value in rule["values"]]


def test_the_dashboard_admits_the_operator_of_one_namespace() -> None:
    (policy,) = [p for p in policies("base") if p["metadata"]["name"] == "ray-dashboard"]
    (operator,) = _peers(policy)
    assert operator["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
    assert operator["podSelector"] == {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}}


def test_a_job_names_only_itself() -> None:
    for job in (manifest for manifest in jobs() if manifest["kind"] == "RayJob"):
        policy = network_policy(job["metadata"])
        for selector in (policy["spec"]["podSelector"], *(peer["podSelector"] for peer in _peers(policy))):
            assert selector["matchLabels"]["app.kubernetes.io/instance"] == job["metadata"]["name"]
