"""What a trial takes of the cluster, and how many fit at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.cluster.connect import worker_resources
from orchestrator.errors import ClusterError
from orchestrator.storage.open_by_uri import open_store
from orchestrator.tracking.mlflow_client import resolve_uri

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.scaling_section import ScalingSpec

_NAMES = {"cpu": "CPU", "gpu": "GPU"}


@dataclass(frozen=True)
class Needs:
    """What a trial takes.

    Attributes:
        workers: of the trial; one worker is the trial's own process.
        each: Ray resources of a worker.
    """

    workers: int
    each: Mapping[str, float]

    @property
    def threads(self) -> int:
        """For torch, in a worker."""
        return max(1, int(self.each.get("CPU", 1)))

    @property
    def gpu(self) -> bool:
        """Whether a worker has a GPU, or a part of one."""
        return self.each.get("GPU", 0) > 0

    def bundles(self) -> Any:
        """The trial's own resources as Ray Tune takes them."""
        from ray.tune import PlacementGroupFactory

        if self.workers == 1:
            return PlacementGroupFactory([dict(self.each)])
        # Its workers come on top. If the trial itself took a share of a CPU, a full cluster would have no room for the
        # last of them, and all would wait without end; without any resource, Ray refuses it: one byte of memory.
        return PlacementGroupFactory([{"memory": 1}])


def needs(scaling: ScalingSpec, resources: Mapping[str, float]) -> Needs:
    """What a trial of a pipeline takes.

    Args:
        resources: `tune.resources`, which replace those of the pipeline's workers; {gpu: 0.25} lets four share one.
    """
    own = {_NAMES.get(name.lower(), name): amount for name, amount in resources.items()}
    each = {name: amount for name, amount in {**worker_resources(scaling), **own}.items() if amount > 0}
    return Needs(scaling.minimum, each or {"memory": 1})


def at_once(need: Needs) -> int:
    """How many such trials the cluster holds at the same time; at least 1.

    Raises:
        ClusterError: not even one, and nothing will be added.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    places = sum(min((int(node.get(k, 0) / v + 1e-9) for k, v in need.each.items()), default=0) for node in nodes)
    if places < need.workers and len(nodes) == 1:
        wanted = ", ".join(f"{amount * need.workers:g} {name}" for name, amount in need.each.items())
        has = ", ".join(f"{nodes[0].get(name, 0):g} {name}" for name in need.each)
        raise ClusterError(
            f"a trial needs {wanted}, this machine has {has}\n"
            "Set tune.resources or scaling to less, or use a larger cluster (--address)"
        )
    return max(1, places // need.workers)


def settled(pipeline: Pipeline) -> Pipeline:
    """The pipeline with places that mean the same in any process's working directory."""
    tracking = pipeline.tracking.model_copy(update={"uri": resolve_uri(pipeline.tracking.uri)})
    return pipeline.model_copy(update={"storage": open_store(pipeline.storage).uri, "tracking": tracking})
