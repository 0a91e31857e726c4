"""Metrics of a run for Prometheus, exported by Ray beside its own; k8s/dashboard.json shows them in Grafana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.progress.run_reporter import Event, Summary, accuracy_so_far

# Ray puts `ray_` in front of every name.
GAUGES = {
    "everlearn_experience": "Experience in training, counted from 0",
    "everlearn_samples_per_second": "Samples trained on per second, over all workers",
    "everlearn_average_accuracy": "Mean accuracy on all experiences so far, after the last commit",
    "everlearn_forgetting": "Mean loss of accuracy on past experiences from its best, after the last commit",
    "everlearn_memory_samples": "Past samples that the memories of all strategies hold, after the last commit",
}
COMMIT_SECONDS = "everlearn_commit_seconds"
_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]


class Readings:
    """What the metrics should show, from what the driver hears."""

    def __init__(self) -> None:
        self._best: dict[int, float] = {}

    def take(self, event: Event) -> dict[str, float]:
        """New values by metric after one event; kinds that no metric shows give none."""
        kind = event["kind"]
        if kind == "experience":
            return {"everlearn_experience": event["index"]}
        if kind == "step" and event.get("rate") is not None:
            return {"everlearn_samples_per_second": event["rate"]}
        if kind == "stage":
            return {"everlearn_samples_per_second": 0.0}
        if kind != "commit":
            return {}
        commit = event["commit"]
        found = {
            "everlearn_average_accuracy": accuracy_so_far(commit),
            "everlearn_forgetting": self._forgetting(commit),
            "everlearn_memory_samples": float(memory_samples(commit)),
            COMMIT_SECONDS: event.get("upload"),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _forgetting(self, commit: Mapping[str, Any]) -> float | None:
        """As `strategies.metrics.definitions.forgetting`, from what was best before this commit."""
        index = commit["experience"]["index"]
        row = {e["experience"]: e["correct"] / e["total"] for e in commit["row"] if e["total"]}
        lost = [self._best[j] - row[j] for j in range(index) if j in self._best and j in row]
        self._best |= {j: max(self._best.get(j, 0.0), row[j]) for j in range(index + 1) if j in row}
        return sum(lost) / len(lost) if lost else None


class Telemetry:
    """Hears what the driver hears, and sets the metrics. For use while Ray is connected.

    What is not known yet is not exported, instead of being 0.
    """

    def __init__(self, pipeline: str) -> None:
        """
        Args:
            pipeline: its name, the tag of every metric.
        """
        from ray.util.metrics import Gauge, Histogram

        self._readings = Readings()
        self._metrics: dict[str, Any] = {
            name: Gauge(name, description=text, tag_keys=("pipeline",)) for name, text in GAUGES.items()
        }
        self._metrics[COMMIT_SECONDS] = Histogram(
            COMMIT_SECONDS,
            description="Time to write a commit, in seconds",
            boundaries=_BUCKETS,
            tag_keys=("pipeline",),
        )
        for metric in self._metrics.values():
            metric.set_default_tags({"pipeline": pipeline})

    def start(self, summary: Summary) -> None:
        """The run begins, perhaps after commits of an earlier one."""
        for commit in summary.get("chain", ()):
            self.event({"kind": "commit", "commit": commit})

    def event(self, event: Event) -> None:
        """Something happened."""
        for name, value in self._readings.take(event).items():
            metric = self._metrics[name]
            if name == COMMIT_SECONDS:
                metric.observe(value)
            else:
                metric.set(value)


def memory_samples(commit: Mapping[str, Any]) -> int:
    """How many samples of past experiences a commit's memories hold."""
    return sum(sum(shard["lengths"].values()) for memory in commit["memories"].values() for shard in memory["shards"])
