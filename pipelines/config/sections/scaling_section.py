"""The `scaling` part of a pipeline file: how many workers train, and on what."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from pipelines.config.document import KeyPath
from pipelines.config.sections.section import Positive, Spec, refuse
from strategies.api.influence import NOT_LEARNED


def _workers(value: Any) -> int | tuple[int, int]:
    if type(value) is int and value >= 1:
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(count) is int for count in value):
        low, high = value
        if 1 <= low <= high:
            return low, high
    raise ValueError("must be a whole number of at least 1, or [min, max] of such")


def _as_written(workers: int | tuple[int, int]) -> int | list[int]:
    return workers if isinstance(workers, int) else list(workers)


class ScalingSpec(Spec):
    """How many workers train, and what each needs. Never changes what is learned.

    Attributes:
        workers: how many, or [min, max] for an elastic run.
        gpu: whether each worker trains on a GPU.
        channels_last: whether images lie in memory with their channels next to each other, which makes convolutions
            faster.
        shard: whether each worker holds a part of the model while it trains, by PyTorch's FSDP, instead of all of it.
            One worker holds all of it.
        resources: Ray resources of each worker, such as {CPU: 2}.
    """

    workers: Annotated[int | tuple[int, int], PlainValidator(_workers), PlainSerializer(_as_written), NOT_LEARNED] = 1
    gpu: Annotated[bool, NOT_LEARNED] = False
    channels_last: Annotated[bool, NOT_LEARNED] = False
    shard: Annotated[bool, NOT_LEARNED] = False
    resources: Annotated[dict[str, Positive], NOT_LEARNED] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_gpu_each(self) -> Self:
        share = self.resources.get("GPU", 1)
        place: KeyPath = ("resources", "GPU")
        if share > 1:
            refuse([(place, f"a worker trains on one GPU, got {share:g}: ask for more workers instead")])
        if share < 1 and self.maximum > 1:
            refuse(
                [(place, f"workers that share a GPU cannot communicate (NCCL), got {share:g}: give each worker one")]
            )
        return self

    @property
    def minimum(self) -> int:
        """The fewest workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def maximum(self) -> int:
        """The most workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]
