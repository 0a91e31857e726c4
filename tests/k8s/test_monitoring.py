"""What Prometheus is told to scrape is there, speaks, and may be reached: `k8s/components/monitoring` and `watch`."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from orchestrator.cli.watch import watch
from pipelines.config.load import load_text
from tests.k8s.manifests import Manifest, build, pods, selects
from tests.k8s.reach import reach

FOLDER = "overlays/watch"
# What these manifests use of monitoring.coreos.com/v1, as the reference of its API has it; nothing beside it.
SELECTOR: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        "matchExpressions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["key", "operator"],
                "properties": {
                    "key": {"type": "string"},
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
DURATION = r"^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"
POD_MONITOR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["selector", "podMetricsEndpoints"],
    "properties": {
        "selector": SELECTOR,
        "podMetricsEndpoints": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["port"],
                "properties": {"port": {"type": "string"}, "interval": {"type": "string", "pattern": DURATION}},
            },
        },
    },
}


def monitors() -> list[Manifest]:
    return [manifest for manifest in build(FOLDER) if manifest["kind"] == "PodMonitor"]


def ports(monitor: Manifest) -> dict[str, set[int]]:
    """By the pod that a PodMonitor selects: the ports which its endpoints name."""
    names = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
    return {
        pod.where: {
            port["containerPort"] for one in pod.containers for port in one.get("ports", []) if port["name"] in names
        }
        for pod in pods(build(FOLDER))
        if selects(monitor["spec"]["selector"], pod.labels)
    }


def test_pod_monitors_are_what_the_operator_knows() -> None:
    assert [monitor["metadata"]["name"] for monitor in monitors()] == ["everlearn", "everlearn-watch"]
    for monitor in monitors():
        assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
        jsonschema.validate(monitor["spec"], POD_MONITOR)


def test_each_endpoint_is_a_port_of_pods_that_prometheus_reaches() -> None:
    ray, watch = (ports(monitor) for monitor in monitors())
    assert watch == {"Deployment watch-arriving": {9464}}
    # A pod that has no such port is not scraped: no pod is scraped twice.
    assert {where: found for where, found in ray.items() if found}.keys().isdisjoint(watch)
    reached = {target.name: found for source, target, found in reach(FOLDER) if source.name == "Prometheus"}
    assert (
        9464 in reached["the watcher"] and 8080 in reached["standing worker"] and 9464 not in reached["standing worker"]
    )


def test_the_command_listens_where_the_monitor_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    (pod,) = (pod for pod in pods(build(FOLDER)) if pod.where == "Deployment watch-arriving")
    (container,) = pod.containers
    program, name, *arguments = container["command"]
    assert (program, name) == ("everlearn", watch.name)
    given = watch.make_context(name, arguments).params
    assert given["metrics"] == ("0.0.0.0", container["ports"][0]["containerPort"]) and given["every"] == 300
    (files,) = (m for m in build(FOLDER) if m["kind"] == "ConfigMap" and m["metadata"]["name"] == "watch-arriving")
    monkeypatch.setenv("EVERLEARN_STORAGE", "s3://bucket/lineages")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    pipeline = load_text(files["data"]["pipeline.yaml"])
    assert given["file"] == f"/etc/everlearn/{next(iter(files['data']))}"
    assert pod.labels["app.kubernetes.io/instance"] == f"watch-{pipeline.name}" and pipeline.stream.source is not None
