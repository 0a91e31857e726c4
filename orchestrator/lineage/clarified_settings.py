"""Settings that changed what was learned, and were not part of the commit's id in early versions. Now they are.

They are part of the id only where a file uses them, so that all other commits keep their ids. A commit that an early
version made with such a setting has another id: it stays readable, and a run makes a new one.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.features.column_layout import ColumnLayout
    from pipelines.data.streams import Stream


def clarified(spec: dict[str, Any], pipeline: Pipeline, stream: Stream, index: int) -> dict[str, Any]:
    """What influences the commit after experience `index`, with such settings where they are used."""
    trimmed = _trimmed_memories(pipeline, index)
    strategies = [entry | trimmed.get(entry["name"], {}) for entry in spec["strategy"]]
    return spec | {"strategy": strategies, "train": spec["train"] | _parts_of_batches(pipeline, stream, index)}


def _parts_of_batches(pipeline: Pipeline, stream: Stream, index: int) -> dict[str, Any]:
    """`train.accumulate` of an experience, where the model takes statistics of each part; else nothing."""
    parts = pipeline.train.at(index).accumulate
    if parts == 1:
        return {}
    model = pipeline.model
    options = json.dumps(model.options, sort_keys=True, default=str)
    matters = _takes_statistics(
        model.name, options, tuple(stream.input_shape), stream.outputs, pipeline.seed, stream.layout
    )
    return {"accumulate": parts} if matters else {}


def _trimmed_memories(pipeline: Pipeline, index: int) -> dict[str, dict[str, Any]]:
    """By strategy: that an experience lowers its capacity, which trims the memory before the first step."""
    if not index:
        return {}
    pairs = zip(pipeline.strategy_at(index - 1), pipeline.strategy_at(index), strict=True)
    capacities = {new.name: [getattr(spec.options, "capacity", 0) for spec in (old, new)] for old, new in pairs}
    return {name: {"memory": "trimmed"} for name, (before, now) in capacities.items() if now < before}


@lru_cache(maxsize=64)
def _takes_statistics(
    name: str, options: str, input_shape: tuple[int, ...], outputs: int, seed: int, layout: ColumnLayout | None
) -> bool:
    from pipelines.models.build_model import build_model
    from strategies.loop.batch_statistics import layers_with_statistics

    return bool(layers_with_statistics(build_model(name, json.loads(options), input_shape, outputs, seed, layout)))
