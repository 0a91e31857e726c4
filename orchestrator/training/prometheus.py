"""Metrics of a run for Prometheus, exported by Ray beside its own; k8s/dashboard.json shows them in Grafana."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.events import CommitWritten, Event, ExperienceStarted, StageStarted, StepDone
from orchestrator.progress.run_reporter import Summary
from strategies.metrics import metrics_in

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit

# Ray puts `ray_` in front of every name.
GAUGES = {
    "everlearn_experience": "Experience in training, counted from 0",
    "everlearn_samples_per_second": "Samples trained on per second, over all workers",
    "everlearn_average_accuracy": "Mean accuracy on all experiences so far, after the last commit",
    "everlearn_forgetting": "Mean loss of accuracy on past experiences from its best, after the last commit",
    "everlearn_metric": "Each metric of what was learned and forgotten, by the tag `metric`, after the last commit",
    "everlearn_memory_samples": "Past samples that the memories of all strategies hold, after the last commit",
}
METRIC = "everlearn_metric"
COMMIT_SECONDS = "everlearn_commit_seconds"
# Metrics with a gauge of their own, for dashboards that show no other.
_OWN = ("average_accuracy", "forgetting")
_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120]


class Readings:
    """What the gauges should show, from the driver's events.

    Attributes:
        metrics: after the last commit, every metric of the scores that is known, by name.
    """

    def __init__(self) -> None:
        from orchestrator.lineage.running_matrix import Course

        self.metrics: dict[str, float] = {}
        self._chain: list[Commit] = []
        self._course = Course()

    def take(self, event: Event) -> dict[str, float]:
        """New values by gauge after one event; events that no gauge shows give none."""
        match event:
            case ExperienceStarted(index=index):
                return {"everlearn_experience": index}
            case StepDone(rate=rate) if rate is not None:
                return {"everlearn_samples_per_second": rate}
            case StageStarted():
                return {"everlearn_samples_per_second": 0.0}
            case CommitWritten(commit=commit, upload=upload):
                return self._after(commit, upload)
            case _:
                return {}

    def _after(self, commit: Mapping[str, Any], upload: float | None) -> dict[str, float]:
        self._follow(commit)
        found = {f"everlearn_{name}": self.metrics.get(name) for name in _OWN}
        found["everlearn_memory_samples"] = float(memory_samples(commit))
        found[COMMIT_SECONDS] = upload
        return {name: value for name, value in found.items() if value is not None}

    def _follow(self, document: Mapping[str, Any]) -> None:
        from orchestrator.lineage.chain_metrics import course_metrics
        from orchestrator.lineage.commit import Commit

        index = document["experience"]["index"]
        self.metrics = {}
        if index > len(self._chain):
            # Without the commits before it there is no matrix.
            return
        # After a restart the event of a commit may come again.
        self._chain[index:] = [Commit.model_validate(document, strict=False)]
        values = course_metrics(self._course.follow(self._chain), self._chain, first=index)[-1]
        wanted = [metric.name for metric in metrics_in(values) if metric.is_score]
        self.metrics = {name: value for name in wanted if (value := values[name]) is not None}


class Telemetry:
    """Takes the driver's events, and sets the gauges. For use while Ray is connected.

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
            name: Gauge(name, description=text, tag_keys=("pipeline", "metric") if name == METRIC else ("pipeline",))
            for name, text in GAUGES.items()
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
            self.event(CommitWritten(commit))

    def event(self, event: Event) -> None:
        """Update the gauges from an event."""
        for name, value in self._readings.take(event).items():
            metric = self._metrics[name]
            if name == COMMIT_SECONDS:
                metric.observe(value)
            else:
                metric.set(value)
        if isinstance(event, CommitWritten):
            for name, value in self._readings.metrics.items():
                self._metrics[METRIC].set(value, tags={"metric": name})


def memory_samples(commit: Mapping[str, Any]) -> int:
    """How many samples of past experiences a commit's memories hold."""
    return sum(sum(shard["lengths"].values()) for memory in commit["memories"].values() for shard in memory["shards"])
