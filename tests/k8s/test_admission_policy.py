"""The admission policies take what Everlearn makes, and refuse what reaches further. Their CEL is really evaluated."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.jobs.kubernetes import NAMESPACE, JobOptions, render_job
from tests.k8s.admission import denials, policies
from tests.k8s.manifests import BUILDS, build

TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental, experiences: 5}\nmodel: mlp\n"
ELASTIC = TEXT + "scaling: {workers: [1, 4]}\n"
RAY = "everlearn-ray"


def job() -> dict[str, Any]:
    """A job with an autoscaler."""
    return copy.deepcopy(render_job(ELASTIC, "run", JobOptions(variables=["HUB=job-hub/token"]))[0])


def templates(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its pod templates."""
    cluster = made["spec"]["rayClusterSpec"]
    return {
        "head": cluster["headGroupSpec"]["template"],
        "worker": cluster["workerGroupSpecs"][0]["template"],
        "submitter": made["spec"]["submitterPodTemplate"],
    }


def cluster_of(made: dict[str, Any]) -> dict[str, Any]:
    """The Ray cluster that the operator makes for a job or a service."""
    name, spec = f"{made['metadata']['name']}-x7k2p", made["spec"]
    cluster = spec["rayClusterSpec"] if made["kind"] == "RayJob" else spec["rayClusterConfig"]
    return {"kind": "RayCluster", "metadata": {"name": name}, "spec": copy.deepcopy(cluster)}


@pytest.mark.parametrize("folder", BUILDS)
def test_everything_of_ours_is_taken(folder: str) -> None:
    for manifest in build(folder):
        if manifest["kind"] in ("RayJob", "RayCluster"):
            assert denials(RAY, manifest) == [], manifest["metadata"]["name"]
        if manifest["kind"] == "RayService":
            assert denials(RAY, cluster_of(manifest)) == [], manifest["metadata"]["name"]


def test_the_token_of_a_service_is_for_its_own_pods() -> None:
    (service,) = [manifest for manifest in build("overlays/serving") if manifest["kind"] == "RayService"]
    cluster = cluster_of(service)
    reference = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"][0]["env"][1]["valueFrom"]
    reference["secretKeyRef"]["name"] = "serve-another"
    assert [message.partition(":")[0] for message in denials(RAY, cluster)] == ["secrets"]
    made = copy.deepcopy(render_job(TEXT, "run", JobOptions(variables=["T=job-t/token"]))[0])
    templates(made)["head"]["spec"]["containers"][0]["env"][-1]["valueFrom"] = {
        "secretKeyRef": {"name": "serve-digits", "key": "token"}
    }
    assert [message.partition(":")[0] for message in denials(RAY, made)] == ["secrets"]
    named = render_job(TEXT.replace("name: p", "name: serve-digits"), "run")[0]
    assert [message.partition(":")[0] for message in denials(RAY, named)] == ["name"]


@pytest.mark.parametrize(
    "options", [JobOptions(), JobOptions(queue="team"), JobOptions(tls=True), JobOptions(image="r/i:2")]
)
def test_jobs_of_every_kind_are_taken(options: JobOptions) -> None:
    for text in (TEXT, ELASTIC, TEXT + "scaling: {workers: 2, gpu: true}\n"):
        made = render_job(text, "run", options)[0]
        assert denials(RAY, made) == [] and denials(RAY, cluster_of(made)) == []
    assert denials(RAY, job()) == []


SPOILED: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("serviceAccountName", lambda t: t["spec"].update(serviceAccountName="mlflow")),
    ("serviceAccountName", lambda t: t["spec"].pop("serviceAccountName")),
    ("serviceAccountName", lambda t: t["spec"].update(serviceAccount="mlflow")),
    ("automountServiceAccountToken", lambda t: t["spec"].update(automountServiceAccountToken=True)),
    ("automountServiceAccountToken", lambda t: t["spec"].pop("automountServiceAccountToken")),
    ("labels", lambda t: t["metadata"]["labels"].update({"app.kubernetes.io/component": "mlflow"})),
    # With another cluster's label, or another job's name, the network policies would let it in there.
    ("labels", lambda t: t["metadata"]["labels"].update({"ray.io/cluster": "everlearn"})),
    ("instance", lambda t: t["metadata"]["labels"].update({"app.kubernetes.io/instance": "another-run"})),
    ("labels, instance", lambda t: t["metadata"].pop("labels")),
    ("volumes", lambda t: t["spec"]["volumes"].append({"name": "x", "secret": {"secretName": "everlearn-postgres"}})),
    ("volumes", lambda t: t["spec"]["volumes"].append({"name": "x", "projected": {"sources": []}})),
    # An autoscaler runs the head's image, so that the user's program reads what it mounts.
    (
        "volumes",
        lambda t: t["spec"].update(
            volumes=[{"name": "kubernetes", "projected": {"sources": [{"secret": {"name": "everlearn-postgres"}}]}}]
        ),
    ),
    ("volumes", lambda t: t["spec"]["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "data"}})),
    ("volumes", lambda t: t["spec"]["volumes"].append({"name": "x", "csi": {"driver": "d"}})),
    (
        "volumeMounts",
        lambda t: t["spec"]["containers"][0]["volumeMounts"].append({"name": "kubernetes", "mountPath": "/x"}),
    ),
    ("secrets", lambda t: t["spec"]["containers"][0].update(envFrom=[{"secretRef": {"name": "everlearn"}}])),
    (
        "secrets",
        lambda t: t["spec"].update(initContainers=[{"name": "i", "envFrom": [{"secretRef": {"name": "everlearn"}}]}]),
    ),
]


@pytest.mark.parametrize("where", ["head", "worker", "submitter"])
@pytest.mark.parametrize(("said", "spoil"), SPOILED, ids=lambda value: value if isinstance(value, str) else "")
def test_a_pod_that_reaches_further_is_refused(where: str, said: str, spoil: Callable[[dict[str, Any]], Any]) -> None:
    made = job()
    spoil(templates(made)[where])
    found = denials(RAY, made)
    assert ", ".join(message.partition(":")[0] for message in found) == said
    if where != "submitter":
        assert denials(RAY, cluster_of(made)) == found or said == "labels, instance"


@pytest.mark.parametrize(
    "change",
    [
        {"gcsFaultToleranceOptions": {"redisAddress": "x"}},
        {"historyServerOptions": {}},
        {"networkPolicy": {"mode": "DenyAllEgress"}},
        {"authOptions": {"mode": "disabled"}},
        {"authOptions": {"mode": "token", "secretName": "everlearn-postgres"}},
        {"autoscalerOptions": {"image": "mine:1"}},
        {"autoscalerOptions": {"command": ["sh"]}},
        {"autoscalerOptions": {"env": [{"name": "BASH_ENV", "value": "/tmp/x"}]}},
        {"autoscalerOptions": {"envFrom": [{"secretRef": {"name": "everlearn-postgres"}}]}},
        {"autoscalerOptions": {"volumeMounts": [{"name": "pipeline", "mountPath": "/opt/everlearn"}]}},
    ],
)
def test_a_cluster_that_reaches_further_is_refused(change: dict[str, Any]) -> None:
    made = job()
    made["spec"]["rayClusterSpec"].update(change)
    assert len(denials(RAY, made)) == 1


@pytest.mark.parametrize("change", [{"serviceType": "LoadBalancer"}, {"enableIngress": True}, {"headService": {}}])
def test_a_head_that_opens_itself_to_the_outside_is_refused(change: dict[str, Any]) -> None:
    made = job()
    made["spec"]["rayClusterSpec"]["headGroupSpec"].update(change)
    (message,) = denials(RAY, made)
    assert message.startswith("the head")


def test_a_job_on_the_standing_cluster_is_refused_without_its_token() -> None:
    made = job()
    del made["spec"]["rayClusterSpec"]
    made["spec"]["clusterSelector"] = {"ray.io/cluster": "everlearn"}
    assert denials(RAY, made)


def test_what_is_being_deleted_goes_whatever_it_asks_for() -> None:
    made = job()
    templates(made)["head"]["spec"]["serviceAccountName"] = "mlflow"
    assert denials(RAY, made, made)
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert denials(RAY, made, made) == []


def test_a_cluster_stays_that_of_its_job() -> None:
    """The token of an autoscaler can change its Ray cluster: not so that its next pods are those of another job."""
    old = cluster_of(job())
    new = copy.deepcopy(old)
    new["spec"]["workerGroupSpecs"][0]["replicas"] = 3
    assert denials(RAY, new, old) == []
    for change in ("", "q-run", old["metadata"]["name"]):
        for template in (new["spec"]["headGroupSpec"]["template"], new["spec"]["workerGroupSpecs"][0]["template"]):
            template["metadata"]["labels"]["app.kubernetes.io/instance"] = change
        (message,) = denials(RAY, new, old)
        assert message.startswith("instance")


def test_the_standing_cluster_is_no_jobs() -> None:
    standing = next(m for m in build("base") if m["kind"] == "RayCluster")
    new = copy.deepcopy(standing)
    new["spec"]["workerGroupSpecs"][0]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] = "p-run"
    assert denials(RAY, standing, standing) == []
    assert [text.partition(":")[0] for text in denials(RAY, new, standing)] == ["instance"]


@settings(max_examples=25, deadline=None)
@given(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
    | st.sampled_from(["job-x", "everlearn-s3", "everlearn-mlflow", "everlearn-mlflow-admin", "everlearn-postgres"])
)
def test_only_secrets_for_jobs_can_be_named(name: str) -> None:
    made = job()
    head = templates(made)["head"]["spec"]["containers"][0]
    head["env"].append({"name": "X", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}})
    assert (denials(RAY, made) == []) is (name in ("everlearn-s3", "everlearn-mlflow") or name.startswith("job-"))


def test_an_autoscaler_changes_no_pod() -> None:
    head = f"system:serviceaccount:{NAMESPACE}:ray-head"
    old = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "mlflow", "image": "everlearn:1"}]}}
    noted = {**old, "metadata": {**old["metadata"], "annotations": {"ray.io/x": "y"}}}
    image = {**old, "spec": {"containers": [{"name": "mlflow", "image": "mine:1"}]}}
    label = {**old, "metadata": {"labels": {"a": "c"}}}
    assert denials("everlearn-autoscaler", noted, old, user=head) == []
    for changed in (image, label, {**old, "metadata": {}}):
        assert denials("everlearn-autoscaler", changed, old, user=head)
        assert denials("everlearn-autoscaler", changed, old, user="system:node:n") == []


def test_people_write_the_files_of_jobs_and_not_the_settings() -> None:
    file = render_job(TEXT, "run")[1]
    config = next(m for m in build("base") if m["metadata"]["name"] == "mlflow-settings")
    disguised = copy.deepcopy(config)
    disguised["metadata"]["labels"] = {"everlearn/kind": "run"}
    people = ("everlearn-users", "system:authenticated")
    assert denials("everlearn-files", file, groups=people) == []
    assert denials("everlearn-files", file, file, groups=people) == []
    assert denials("everlearn-files", config, groups=people)
    assert denials("everlearn-files", disguised, config, groups=people)
    assert denials("everlearn-files", config, config, groups=("system:masters",)) == []


NETWORKS = "everlearn-networks"
PEOPLE = ("everlearn-users", "system:authenticated")
ANYONE: dict[str, Any] = {"from": [{"podSelector": {}}]}


def test_people_write_the_network_policy_of_a_job() -> None:
    policy = render_job(TEXT, "run")[2]
    assert denials(NETWORKS, policy, groups=PEOPLE) == []
    assert denials(NETWORKS, policy, policy, groups=PEOPLE) == []


@pytest.mark.parametrize(
    ("said", "spoil"),
    [
        ("podSelector", lambda p: p["metadata"].update(name="other-run")),
        ("podSelector", lambda p: p["spec"].update(podSelector={})),
        ("podSelector", lambda p: p["spec"]["podSelector"].pop("matchLabels")),
        ("podSelector", lambda p: p["spec"].update(podSelector={"matchLabels": {"ray.io/cluster": "everlearn"}})),
        ("ingress", lambda p: p["spec"]["ingress"].append(ANYONE)),
        ("ingress", lambda p: p["spec"]["ingress"].append({})),
        ("ingress", lambda p: p["spec"]["ingress"].append({"from": []})),
        ("ingress", lambda p: p["spec"]["ingress"][0]["from"][0].update(namespaceSelector={})),
        ("ingress", lambda p: p["spec"]["egress"].append({"ports": [{"protocol": "TCP", "port": 443}]})),
        ("ingress", lambda p: p["spec"]["egress"].append({"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]})),
        ("ingress", lambda p: p["spec"]["egress"].append({"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]})),
        ("only", lambda p: p["metadata"].pop("labels")),
    ],
)
def test_people_write_no_other_network_policy(said: str, spoil: Callable[[dict[str, Any]], Any]) -> None:
    policy = copy.deepcopy(render_job(TEXT, "run")[2])
    spoil(policy)
    assert denials(NETWORKS, policy, groups=PEOPLE)[0].startswith(said)
    assert denials(NETWORKS, policy, groups=("system:masters",)) == []


def test_people_change_no_network_policy_of_the_base() -> None:
    for fixed in (m for m in build("base") if m["kind"] == "NetworkPolicy"):
        disguised = copy.deepcopy(render_job(TEXT, "run")[2])
        disguised["metadata"]["name"] = fixed["metadata"]["name"]
        selector = {"matchLabels": {"app.kubernetes.io/instance": fixed["metadata"]["name"]}}
        disguised["spec"] = {"podSelector": selector, "policyTypes": ["Ingress"]}
        (message,) = denials(NETWORKS, disguised, fixed, groups=PEOPLE)
        assert message.startswith("only")


def test_each_policy_is_bound_to_the_namespace_and_denies() -> None:
    bindings = [m["spec"] for m in build("base") if m["kind"] == "ValidatingAdmissionPolicyBinding"]
    assert {spec["policyName"] for spec in bindings} == set(policies())
    namespace = next(m for m in build("base") if m["kind"] == "Namespace")
    for spec in bindings:
        assert spec["validationActions"] == ["Deny"]
        chosen = spec["matchResources"]["namespaceSelector"]["matchLabels"]
        assert chosen.items() <= namespace["metadata"]["labels"].items()
