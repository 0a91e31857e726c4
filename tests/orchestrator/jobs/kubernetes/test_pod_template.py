"""Pods that a namespace with the `restricted` level takes."""

from orchestrator.jobs.kubernetes.pod_template import USER, confined, container, pod_template
from tests.k8s.restricted import violations

RESOURCES = {"cpu": "1", "memory": "4Gi"}


def test_a_pod_is_restricted_and_takes_exactly_what_it_asks_for() -> None:
    one = container("ray-worker", "image:1", RESOURCES, environment={"env": []}, ports={"metrics": 8080})
    pod = pod_template("ray-worker", one, labels={"a": "b"}, account="everlearn")
    assert violations(pod["spec"]) == []
    assert pod["metadata"]["labels"] == {"a": "b", "app.kubernetes.io/component": "ray-worker"}
    (made,) = pod["spec"]["containers"]
    assert made["resources"] == {"requests": RESOURCES, "limits": RESOURCES}
    assert made["ports"] == [{"name": "metrics", "containerPort": 8080}]
    assert made["securityContext"] == confined() and confined()["readOnlyRootFilesystem"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == USER != 0
    # The only place that can be written.
    assert [mount["mountPath"] for mount in made["volumeMounts"]] == ["/tmp"]


def test_nobody_gets_a_token_and_only_who_asks_a_gpu_node() -> None:
    one = container("c", "image:1", RESOURCES, environment={})
    plain = pod_template("ray-head", one, labels={}, account="a")["spec"]
    asked = pod_template("ray-head", one, labels={}, account="a", gpu=True)["spec"]
    assert (plain["automountServiceAccountToken"], asked["automountServiceAccountToken"]) == (False, False)
    assert "tolerations" not in plain and asked["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert "ports" not in one


def test_a_pod_does_not_share_the_container_it_was_given() -> None:
    one = container("c", "image:1", RESOURCES, environment={})
    pod_template("ray-head", one, labels={}, account="a")["spec"]["containers"][0]["name"] = "other"
    assert one["name"] == "c"
