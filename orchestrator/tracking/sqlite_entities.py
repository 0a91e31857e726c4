"""What MLflow's database holds, in the shape in which `mlflow.entities` has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Metric(NamedTuple):
    """A value of a metric, as `mlflow.entities.Metric`. `timestamp` is in Unix milliseconds."""

    key: str
    value: float
    timestamp: int
    step: int
    model_id: str | None = None


class Param(NamedTuple):
    """A parameter, as `mlflow.entities.Param`."""

    key: str
    value: str


class RunTag(NamedTuple):
    """A tag, as `mlflow.entities.RunTag`."""

    key: str
    value: str


class LoggedModelOutput(NamedTuple):
    """A model that a run made, as `mlflow.entities.LoggedModelOutput`."""

    model_id: str
    step: int


class InputTag(NamedTuple):
    """A tag of an input, as `mlflow.entities.InputTag`."""

    key: str
    value: str


class Dataset(NamedTuple):
    """A dataset, as `mlflow.entities.Dataset`; `schema` and `profile` are JSON."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


class DatasetInput(NamedTuple):
    """A dataset that a run used, as `mlflow.entities.DatasetInput`."""

    dataset: Dataset
    tags: list[InputTag]


@dataclass(frozen=True)
class Experiment:
    """As `mlflow.entities.Experiment`."""

    experiment_id: str
    name: str
    artifact_location: str | None
    lifecycle_stage: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunInfo:
    """As `mlflow.entities.RunInfo`; times in Unix milliseconds."""

    run_id: str
    status: str
    start_time: int
    end_time: int | None
    artifact_uri: str
    experiment_id: str = ""


@dataclass(frozen=True)
class RunData:
    """As `mlflow.entities.RunData`."""

    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """As `mlflow.entities.Run`."""

    info: RunInfo
    data: RunData


@dataclass(frozen=True)
class LoggedModel:
    """As `mlflow.entities.LoggedModel`; `status` is PENDING, READY or FAILED."""

    model_id: str
    status: str
    artifact_location: str
    tags: dict[str, str]


class Found(list[Run]):
    """A page of runs; `token` is that of the next page, of which there is none."""

    token = None
