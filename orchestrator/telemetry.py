"""Metrics of a run for Prometheus, exported by Ray beside its own; k8s/dashboard.json shows them in Grafana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.progress.reporter import Event, Summary, accuracy_so_far

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


class Telemetry:
    """Hears what the driver hears, and sets the metrics. For use while Ray is connected.

    Metrics that are not known yet are not exported, instead of being 0.
    """

    def __init__(self, pipeline: str) -> None:
        """
        Args:
            pipeline: its name, the tag of every metric.
        """
        from ray.util.metrics import Gauge, Histogram

        tags = {"pipeline": pipeline}
        self._gauges: dict[str, Any] = {
            name: Gauge(name, description=text, tag_keys=("pipeline",)) for name, text in GAUGES.items()
        }
        self._commit = Histogram(
            COMMIT_SECONDS, description="Time to write a commit", boundaries=_BUCKETS, tag_keys=("pipeline",)
        )
        for metric in (*self._gauges.values(), self._commit):
            metric.set_default_tags(tags)
        self._best: dict[int, float] = {}

    def start(self, summary: Summary) -> None:
        """The run begins, perhaps after commits of an earlier one."""
        for commit in summary.get("chain", ()):
            self._learned(commit)

    def event(self, event: Event) -> None:
        """Something happened; kinds that no metric shows are passed over."""
        kind = event["kind"]
        if kind == "experience":
            self._gauges["everlearn_experience"].set(event["index"])
        elif kind == "step" and event.get("rate") is not None:
            self._gauges["everlearn_samples_per_second"].set(event["rate"])
        elif kind == "stage":
            self._gauges["everlearn_samples_per_second"].set(0)
        elif kind == "commit":
            self._learned(event["commit"])
            if event.get("upload") is not None:
                self._commit.observe(event["upload"])

    def _learned(self, commit: Mapping[str, Any]) -> None:
        average = accuracy_so_far(commit)
        if average is not None:
            self._gauges["everlearn_average_accuracy"].set(average)
        forgetting = self._forgetting(commit)
        if forgetting is not None:
            self._gauges["everlearn_forgetting"].set(forgetting)
        self._gauges["everlearn_memory_samples"].set(memory_samples(commit))

    def _forgetting(self, commit: Mapping[str, Any]) -> float | None:
        """As `strategies.metrics.forgetting`, from what was best before this commit."""
        index = commit["experience"]["index"]
        row = {e["experience"]: e["correct"] / e["total"] for e in commit["row"] if e["total"]}
        lost = [self._best[j] - row[j] for j in range(index) if j in self._best and j in row]
        self._best |= {j: max(self._best.get(j, 0.0), row[j]) for j in range(index + 1) if j in row}
        return sum(lost) / len(lost) if lost else None


def memory_samples(commit: Mapping[str, Any]) -> int:
    """How many samples of past experiences a commit's memories hold."""
    return sum(sum(shard["lengths"].values()) for memory in commit["memories"].values() for shard in memory["shards"])
