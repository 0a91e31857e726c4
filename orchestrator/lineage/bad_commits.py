"""What a run does about commits that were rolled back: their experience is left out, and the next one starts from the
commit before it.

Only the very commit that was rolled back is left out: where its experience is trained with other settings or from
another file, it is another commit, and is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import RunFailed
from orchestrator.lineage.decisions import decision_state
from orchestrator.lineage.plan import PlannedCommit, make_plan

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def plan_without_bad(
    pipeline: Pipeline, stream: Stream, lineage: Lineage
) -> tuple[Stream, list[PlannedCommit], list[str]]:
    """The stream without the experiences whose commit is bad, its plan, and a sentence on each that is left out.

    Experiences after one that is left out count one less, as if its data had never come.

    Raises:
        RunFailed: no experience is left.
        StorageError: the decisions cannot be read.
    """
    bad, said = frozenset(decision_state(lineage).bad), []
    plan = make_plan(pipeline, stream)
    numbers = list(range(len(stream)))
    while (place := next((i for i, planned in enumerate(plan) if planned.id in bad), None)) is not None:
        source = stream.source(place)
        said.append(
            f"experience {numbers[place]}{f' ({source})' if source else ''} is left out: its commit "
            f"{plan[place].id[:12]} was rolled back. With other settings or data the experience is trained again"
        )
        if len(stream) == 1:
            raise RunFailed(
                f"pipeline {pipeline.name}: every experience was rolled back, nothing is left to train.\n"
                "Change their data or their settings, or see everlearn audit"
            )
        stream = stream.without(place)
        del numbers[place]
        plan = make_plan(pipeline, stream)
    return stream, plan, said
