"""How many pods the workers or trials of a pipeline need, and the resources of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cluster.connect import worker_resources

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline

GIBIBYTE = 1 << 30
MEMORY = 4 * GIBIBYTE
# Trials at the same time, for a search that does not set it.
CONCURRENT = 4


@dataclass(frozen=True)
class Size:
    """The worker pods of a job.

    Attributes:
        minimum, maximum: number of pods.
        resources: Kubernetes resources of each pod.
        custom: custom Ray resources of each pod.
    """

    minimum: int
    maximum: int
    resources: Mapping[str, str]
    custom: Mapping[str, str]

    @property
    def gpu(self) -> bool:
        """Whether each pod has GPUs."""
        return "nvidia.com/gpu" in self.resources


def size_of(pipeline: Pipeline, kind: str) -> Size:
    """The pods of a run, one for each worker, or of a search, one for each trial.

    Workers or trials that use a fraction of a GPU share a pod with one GPU.
    """
    each = worker_resources(pipeline.scaling)
    low, high = pipeline.scaling.minimum, pipeline.scaling.maximum
    if kind == "tune" and pipeline.tune is not None:
        tune = pipeline.tune
        own = {name.upper() if name.lower() in ("cpu", "gpu") else name: n for name, n in tune.resources.items()}
        each = {**each, **own}
        high = low * min(tune.trials, tune.max_concurrent or CONCURRENT)
    gpus = each.get("GPU", 0)
    shared = int(1 / gpus + 1e-9) if 0 < gpus < 1 else 1
    resources = {
        "cpu": str(max(1, math.ceil(each["CPU"] * shared))),
        "memory": _memory(max(MEMORY, each.get("memory", 0)) * shared),
    }
    if gpus > 0:
        resources["nvidia.com/gpu"] = str(math.ceil(gpus))
    custom = {
        name: f"{amount * shared:g}"
        for name, amount in each.items()
        if name not in ("CPU", "GPU", "memory") and amount > 0
    }
    return Size(math.ceil(low / shared), math.ceil(high / shared), resources, custom)


def _memory(amount: float) -> str:
    return f"{math.ceil(amount / GIBIBYTE)}Gi"
