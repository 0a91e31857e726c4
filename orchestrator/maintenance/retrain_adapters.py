"""Models without samples that were taken out of the data: only the adapters that saw them are trained again.

For strategies whose parts are independent (`Strategy.independent_parts`): `lora` and `adapter` with `per: experience`,
and `experts`. The chain of the data without the samples is that of `everlearn run`, with the same ids and, to the bit,
the same models; the adapters of the other experiences are taken from commits that are stored.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.progress.run_reporter import Reporter
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.api.data import Experience


@dataclass(frozen=True)
class Retrained:
    """What `retrain` did.

    Attributes:
        lineage: ids of the commits of the data as they are now, oldest first.
        trained: places of the experiences that were trained again.
        kept: places of those whose adapters were taken over.
    """

    lineage: tuple[str, ...]
    trained: tuple[int, ...]
    kept: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"lineage": list(self.lineage), "trained": list(self.trained), "kept": list(self.kept)}


def refuse_dependent(pipeline: Pipeline) -> None:
    """Raise PipelineError where the experiences of a pipeline have no parts of their own."""
    from pipelines.build import make_strategies

    names = " and ".join(spec.name for spec in pipeline.strategy)
    if pipeline.stream.source is not None:
        raise PipelineError(
            "forget --retrain: the past of a stream with a source is what has arrived, and cannot be taken out of it: "
            "use forget without --retrain"
        )
    strategies = make_strategies(pipeline)
    if len(strategies) != 1 or not strategies[0].independent_parts:
        raise PipelineError(
            f"forget --retrain: {names} keeps no separate part of the model for each experience. It works with one "
            "strategy alone: {name: lora, per: experience}, {name: adapter, per: experience} or {name: experts}.\n"
            "Take the samples out of the data, then `everlearn run` trains again from the first experience that had "
            "them"
        )


def refuse_held(stream: Stream, ids: Collection[int]) -> None:
    """Raise PipelineError where training data of the stream still holds samples of these ids."""
    wanted = set(ids)
    held = {index: len(wanted & _ids(stream[index])) for index in range(len(stream))}
    found = [index for index, number in held.items() if number]
    if found:
        where = ", ".join(map(str, found[:10])) + (" and more" if len(found) > 10 else "")
        raise PipelineError(
            f"forget --retrain: the data still hold {sum(held.values())} of these samples (in experience {where}); "
            "nothing was removed.\nTake them out of the data, then run this command again"
        )


def _ids(experience: Experience) -> set[int]:
    from strategies.api.data import in_blocks

    samples = experience.train
    parts = (ids for ids, _ in samples.labelled()) if in_blocks(samples) else [samples.ids]
    return {id_ for ids in parts for id_ in ids.tolist()}


def retrain(pipeline: Pipeline, stream: Stream, reporter: Reporter | None = None) -> Retrained:
    """Make the commits of the data as they are now. If it is interrupted, running it again does the rest.

    Raises:
        As `orchestrator.training.driver.run`.
    """
    from orchestrator.checkpointing.reused_adapters import REUSED
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.training.driver import run

    result = run(pipeline, stream=stream, reporter=reporter, reuse_adapters=True)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    made = list(enumerate(result.lineage))[result.reused :]
    kept = tuple(place for place, id_ in made if REUSED in lineage.read(id_).timings)
    trained = tuple(place for place, _ in made if place not in kept)
    return Retrained(tuple(result.lineage), trained, (*range(result.reused), *kept))
