"""Metrics for Prometheus."""

from __future__ import annotations

import time
import urllib.request
from typing import Any

import pytest
import torch

from orchestrator.training.prometheus import COMMIT_SECONDS, GAUGES, Readings, Telemetry, memory_samples
from strategies.metrics import definitions


def commit(index: int, row: list[float], held: dict[str, int] | None = None) -> dict[str, Any]:
    counts = [{"experience": j, "correct": round(a * 1000), "total": 1000} for j, a in enumerate(row)]
    shards = [{"lengths": held or {"all": 3}}, {"lengths": {"all": 4}}]
    return {"experience": {"index": index}, "row": counts, "memories": {"replay": {"shards": shards}}}


def test_readings_are_the_stream_metrics() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = (torch.rand(5, 5, generator=generator, dtype=torch.float64) * 1000).round() / 1000
    readings = Readings()
    for k in range(5):
        found = readings.take({"kind": "commit", "commit": commit(k, matrix[k].tolist()), "upload": 0.5})
        assert found["everlearn_average_accuracy"] == pytest.approx(definitions.average_accuracy(matrix.numpy(), k))
        if k:
            assert found["everlearn_forgetting"] == pytest.approx(definitions.forgetting(matrix.numpy(), k))
        else:
            assert "everlearn_forgetting" not in found
        assert found[COMMIT_SECONDS] == 0.5


def test_progress() -> None:
    readings = Readings()
    assert readings.take({"kind": "experience", "index": 2}) == {"everlearn_experience": 2}
    assert readings.take({"kind": "step", "rate": 10.0}) == {"everlearn_samples_per_second": 10.0}
    assert readings.take({"kind": "step", "rate": None}) == {}
    assert readings.take({"kind": "stage", "stage": "committing"}) == {"everlearn_samples_per_second": 0.0}
    assert readings.take({"kind": "warning", "text": "x"}) == {}


def test_the_memory_is_counted_over_shards_groups_and_strategies() -> None:
    assert memory_samples(commit(0, [1.0], {"0": 2, "1": 5})) == 11
    assert memory_samples({"memories": {}}) == 0


@pytest.mark.ray
@pytest.mark.slow
def test_ray_exports_every_metric_under_the_name_that_the_dashboard_uses() -> None:
    import socket

    import ray

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, _metrics_export_port=port)
    try:
        telemetry = Telemetry("demo")
        telemetry.start({"pipeline": "demo", "experiences": 2, "chain": [commit(0, [0.9, 0.1])]})
        for event in ({"kind": "experience", "index": 1}, {"kind": "step", "rate": 12.0}):
            telemetry.event(event)
        telemetry.event({"kind": "commit", "commit": commit(1, [0.6, 0.8]), "upload": 0.2})
        wanted = {f"ray_{name}" for name in GAUGES} | {f"ray_{COMMIT_SECONDS}_count"}
        found: dict[str, float] = {}
        for _ in range(60):
            found = _exported(port)
            if wanted <= set(found):
                break
            time.sleep(1)
        assert found["ray_everlearn_experience"] == 1
        assert found["ray_everlearn_samples_per_second"] == 12
        assert found["ray_everlearn_average_accuracy"] == pytest.approx(0.7)
        assert found["ray_everlearn_forgetting"] == pytest.approx(0.3)
        assert found["ray_everlearn_memory_samples"] == 7
        assert found[f"ray_{COMMIT_SECONDS}_count"] == 1
    finally:
        ray.shutdown()


def _exported(port: int) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    lines = [line for line in text.splitlines() if 'pipeline="demo"' in line]
    return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}
