"""What a step does with the newest commit: judge it, promote or propose it, and tell the webhooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import Any

from orchestrator.errors import Claimed
from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.decisions import DecisionState, behind, decision_state, last_decision, newest_first, settle
from orchestrator.lineage.lineage import Lineage
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.gate import judge, known_verdict
from orchestrator.updates.promotion import follow_verdict
from orchestrator.updates.webhooks import notify
from pipelines.config.schema import Pipeline
from pipelines.config.sections.gate_section import GateSpec


def judge_latest(
    pipeline: Pipeline, lineage: Lineage, commit: str, on_warning: Callable[[str], object] = lambda text: None
) -> dict[str, Any] | None:
    """Judge a commit by the section `gate` of the pipeline, and do what it says.

    Safe to repeat: a verdict that is known stands, and a step that was interrupted after it is completed.

    Returns:
        The outcome, the reason, and what followed: `promotion`, `proposal` or None. None: the pipeline has no gate,
        the commit was dealt with before, or another process is deciding.

    Raises:
        StorageError: the storage cannot be used.
    """
    gate = pipeline.gate
    if gate is None:
        return None
    state = decision_state(lineage)
    if _settled(lineage, commit, gate, state):
        if behind(lineage, state):
            # A step was killed after it had recorded a decision, before it moved the refs.
            with suppress(Claimed), claimed(lineage, "promotion", target=commit) as claim:
                settle(lineage.fenced(claim.fence))
        return None
    last = last_decision(lineage)
    try:
        stream = plan_without_bad(pipeline, stream_of(pipeline), lineage)[0]
        verdict = judge(lineage, commit, gate, pipeline=pipeline, stream=stream, on_warning=on_warning)
        followed = follow_verdict(lineage, verdict, gate, on_warning=on_warning)
    except Claimed:
        return None
    since = 0 if last is None else last.number
    fresh = list(takewhile(lambda one: one.number > since, newest_first(lineage)))[::-1]
    notify(gate.notify, pipeline.name, fresh, on_warning)
    return {
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "decision": verdict.number,
        "followed": followed.kind if followed is not None else None,
    }


def _settled(lineage: Lineage, commit: str, gate: GateSpec, state: DecisionState) -> bool:
    """Whether nothing is to be decided on a commit: it is in its place, or was refused."""
    if commit in (state.champion, state.proposed, *state.bad):
        return True
    verdict = known_verdict(lineage, commit, gate, state)
    if verdict is None:
        return False
    return verdict.outcome == "refused" or (verdict.outcome == "undecided" and gate.undecided == "refuse")
