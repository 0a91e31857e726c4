"""What a step does before it trains, by the section `update`: examine what is new, decide, record, search settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.decisions import last_of
from orchestrator.updates.admitted_stream import admitted_stream
from orchestrator.updates.observe_pending import Observed, observe
from orchestrator.updates.retune import retune
from orchestrator.updates.training_due import Past, Pending, training_due
from orchestrator.updates.update_log import (
    SECONDS,
    record_due,
    record_search,
    record_training,
    seconds_since_1970,
    spent,
)
from orchestrator.updates.webhooks import notify
from pipelines.config.sections.source_section import seconds_of

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.admission_record import State
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.source_section import SourceSpec


def decide_update(
    pipeline: Pipeline,
    source: SourceSpec,
    state: State,
    latest: Commit | None,
    trained: int,
    lineage: Lineage,
    now: float | None = None,
    on_warning: Callable[[str], object] = lambda text: None,
) -> dict[str, Any] | None:
    """Decide whether what was admitted is trained now, and record why; search settings first where that is due.

    Args:
        state: of the admission log.
        latest: the newest commit; None: nothing was trained.
        trained: how many of the log's experiences were.
        now: in seconds since 1970; None: by this machine's clock.
        on_warning: called with sentences, as webhooks that could not be sent.

    Returns:
        `train`, `rule` and `reason`, and where settings were searched `retuned`. None: there is nothing to decide:
        there is no model yet, or nothing waits.

    Raises:
        Claimed: another process is working on the pipeline.
        StorageError: the storage cannot be used.
    """
    update, waiting = pipeline.update, state.experiences[trained:]
    if update is None or latest is None or not waiting:
        return None
    record_training(lineage, latest, pipeline.scaling.maximum)  # of a step that was killed
    now = time.time() if now is None else now
    seen = Observed()
    if update.when == "drift" or update.retune is not None:
        stream = plan_without_bad(pipeline, admitted_stream(pipeline, source, state), lineage)[0]
        seen = observe(pipeline, stream, len(waiting), latest, lineage)
    pending = Pending(
        tuple(one.serial for one in waiting), sum(one.rows for one in waiting), tuple(seen.drift), seen.errors
    )
    begin = now if update.budget is None else now - seconds_of(update.budget.per)
    past = Past(seconds_since_1970(latest.created), spent(lineage, begin))
    due = training_due(update, pending, past, now)
    fresh = [record_due(lineage, latest.id, due, pending, seen.measures)]
    told: dict[str, Any] = {"train": due.train, "rule": due.rule, "reason": due.reason}
    before = last_of(lineage, "retune")
    searched = before is not None and before.evidence.get("pending") == list(pending.experiences)
    if due.train and due.retune and not searched:
        found, _ = retune(pipeline, source, state, len(waiting), due, lineage)
        evidence = {
            "pending": list(pending.experiences),
            "settings": found.settings,
            "trials": found.trials,
            SECONDS: round(found.seconds, 3),
        }
        fresh.append(record_search(lineage, latest.id, found.reason, evidence))
        told["retuned"] = {"reason": found.reason, "settings": found.settings, "trials": len(found.trials)}
    if pipeline.gate is not None:
        notify(pipeline.gate.notify, pipeline.name, [one for one in fresh if one is not None], on_warning)
    return told
