"""Results of a search and of a comparison, as objects and as the JSON documents of `--json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.tuning.trial_score import deviation, mean

if TYPE_CHECKING:
    from orchestrator.tuning.trial_record import TrialRecord

Tracking = dict[str, str | None]


@dataclass(frozen=True)
class Best:
    """The best settings, and the model that they make of all of the training data.

    Attributes:
        number: of the trial that found them.
        settings: values by path.
        metrics: of the model, on the test sets that no trial has seen.
        validation: of the trial, by which it was chosen: means over its seeds.
        lineage: of the model, oldest commit first; the ref `best` stands for the last.
        trained, reused: experiences of the model.
    """

    number: int
    settings: dict[str, Any]
    metrics: dict[str, float | None]
    validation: dict[str, float | None]
    lineage: list[str]
    trained: int
    reused: int


@dataclass(frozen=True)
class TuneResult:
    """The outcome of a search.

    Attributes:
        pipeline: the pipeline's name.
        metrics, modes: the objectives.
        best: the best settings.
        trials: all that were tried, by number.
        front: with several objectives, the numbers of the trials on the Pareto front.
        trained: experiences that this invocation's trials trained; the best model's are counted there.
        reused: experiences of all trials that were trained before, by another trial or in an earlier invocation.
        seconds: wall time of this invocation.
        tracking: {"uri": tracking server, "run_id": MLflow run or None if it could not be written}.
    """

    pipeline: str
    metrics: tuple[str, ...]
    modes: tuple[str, ...]
    best: Best
    trials: list[TrialRecord]
    front: list[int]
    trained: int
    reused: int
    seconds: float
    tracking: Tracking

    def to_json(self) -> dict[str, Any]:
        """The document that `everlearn tune --json` prints."""
        best = self.best
        return {
            "pipeline": self.pipeline,
            "metric": list(self.metrics),
            "mode": list(self.modes),
            "best": {
                "number": best.number,
                "settings": best.settings,
                "metrics": best.metrics,
                "validation": best.validation,
                "lineage": best.lineage,
                "trained": best.trained,
                "reused": best.reused,
            },
            "front": self.front,
            "trials": [trial.to_json() for trial in self.trials],
            "trained": self.trained,
            "reused": self.reused,
            "seconds": self.seconds,
            "tracking": dict(self.tracking),
        }


@dataclass(frozen=True)
class Compared:
    """One pipeline among several.

    Attributes:
        name: the pipeline's.
        runs: one for each seed.
        published: a paper's numbers, from the pipeline file.
    """

    name: str
    runs: list[TrialRecord]
    published: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> list[TrialRecord]:
        """The runs that came to the end of the stream."""
        return [run for run in self.runs if run.state == "done"]

    @property
    def metrics(self) -> dict[str, float | None]:
        """Means over the seeds."""
        return mean([run.metrics for run in self.done])

    @property
    def deviation(self) -> dict[str, float | None]:
        """Sample standard deviations over the seeds; None for a single one."""
        return deviation([run.metrics for run in self.done])

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.name,
            "metrics": {
                name: {
                    "mean": value,
                    "deviation": self.deviation[name],
                    "values": [run.metrics.get(name) for run in self.done],
                    **({"published": self.published[name]} if name in self.published else {}),
                }
                for name, value in self.metrics.items()
            },
            "seeds": [run.seeds[0] for run in self.runs],
            "runs": [run.to_json() for run in self.runs],
        }


@dataclass(frozen=True)
class CompareResult:
    """The outcome of a comparison.

    Attributes:
        pipelines: in the order in which they were named.
        trained, reused: experiences of all runs.
        seconds, tracking: as in `TuneResult`.
    """

    pipelines: list[Compared]
    trained: int
    reused: int
    seconds: float
    tracking: Tracking

    def to_json(self) -> dict[str, Any]:
        """The document that `everlearn compare --json` prints."""
        return {
            "pipelines": [pipeline.to_json() for pipeline in self.pipelines],
            "trained": self.trained,
            "reused": self.reused,
            "seconds": self.seconds,
            "tracking": dict(self.tracking),
        }
