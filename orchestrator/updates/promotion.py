"""Promotion and rollback: which commit is the champion, the model in use.

A decision is recorded first, then the refs `champion` and `proposed` are moved. The next process that decides completes
what an interrupted one has begun, and a repeated command finds that nothing is left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import OrchestratorError, StorageError
from orchestrator.lineage.claim import OnWarning, claimed
from orchestrator.lineage.decisions import (
    UPDATES,
    Decision,
    DecisionState,
    append_decision,
    champion_before,
    newest_first,
    settle,
)
from orchestrator.updates.gate import judge_held
from pipelines.config.sections.gate_section import GateSpec

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


class Refused(OrchestratorError):
    """The gate refuses a commit; nothing was changed."""

    exit_status = 5


class NothingToDecide(OrchestratorError):
    """A rollback has no commit to go back to, or a commit is the champion already."""

    exit_status = 2


def follow_verdict(
    lineage: Lineage, verdict: Decision, gate: GateSpec | None = None, *, on_warning: OnWarning | None = None
) -> Decision | None:
    """Do what the pipeline file says after a verdict: promote the commit, propose it, or nothing.

    Returns:
        The promotion or proposal; None where the commit was refused, or is the champion already.

    Raises:
        Claimed, StorageError: as `judge`.
    """
    gate = gate or GateSpec()
    wish: str = gate.promote
    if verdict.outcome == "undecided":
        wish = {"propose": "propose", "promote": gate.promote, "refuse": "nothing"}[gate.undecided]
    if verdict.outcome == "refused" or wish == "nothing":
        return None
    with claimed(lineage, "promotion", target=verdict.commit, on_warning=on_warning) as claim:
        held = lineage.fenced(claim.fence)
        state = settle(held)
        if state.champion != verdict.state.champion or state.bad != verdict.state.bad:
            raise StorageError(
                f"pipeline {lineage.pipeline}: the champion changed after commit {verdict.commit[:12]} was judged.\n"
                "Judge it again: everlearn gate FILE"
            )
        if state.champion == verdict.commit:
            return None
        if wish == "automatic":
            return _promote(held, verdict.commit, state, verdict.reason)
        if state.proposed == verdict.commit:
            return next(d for d in newest_first(held) if d.kind == "proposal" and d.commit == verdict.commit)
        after = state.model_copy(update={"proposed": verdict.commit})
        decision = append_decision(
            held,
            kind="proposal",
            commit=verdict.commit,
            reason=verdict.reason,
            evidence={"verdict": verdict.number},
            state=after,
        )
        settle(held)
        return decision


def promote(
    lineage: Lineage,
    commit: str,
    gate: GateSpec | None = None,
    *,
    force: bool = False,
    reason: str = "",
    pipeline: Pipeline | None = None,
    stream: Stream | None = None,
    on_warning: OnWarning | None = None,
) -> Decision:
    """Make a commit the champion, if the gate does not refuse it; judges it first where that is not done.

    A person who promotes decides what the gate left undecided, unless the gate says `undecided: refuse`.

    Args:
        commit: its id.
        gate, pipeline, stream, on_warning: as `orchestrator.updates.gate.judge`.
        force: promote it whatever the gate says; a `reason` is needed. It lifts the mark of a bad commit.
        reason: why.

    Returns:
        The record of the promotion; of an earlier one if the commit is the champion already.

    Raises:
        Refused: the gate refuses it; no ref was moved.
        Claimed, MissingKey, StorageError: as `judge`.
        ValueError: forced without a reason.
    """
    if force and not reason.strip():
        raise ValueError("a forced promotion needs a reason")
    gate = gate or (pipeline.gate if pipeline is not None else None) or GateSpec()
    with claimed(lineage, "promotion", target=commit, on_warning=on_warning) as claim:
        held = lineage.fenced(claim.fence)
        state = settle(held)
        held.read(commit).require_state()
        if state.champion == commit:
            return next(d for d in newest_first(held) if d.commit == commit and d.kind in ("promotion", "rollback"))
        if force:
            return _promote(held, commit, state, reason, forced=True)
        verdict = judge_held(held, commit, gate, state, pipeline=pipeline, stream=stream)
        if verdict.outcome == "refused" or (verdict.outcome == "undecided" and gate.undecided == "refuse"):
            raise Refused(
                f"commit {commit[:12]} was {verdict.outcome} by the gate: {verdict.reason}.\n"
                "Nothing was changed. --force with --reason promotes it all the same"
            )
        return _promote(held, commit, verdict.state, reason or verdict.reason)


def rollback(lineage: Lineage, to: str | None = None, *, reason: str, on_warning: OnWarning | None = None) -> Decision:
    """Make an earlier commit the champion again, and mark the present champion as bad.

    No run continues from a bad commit: its experience is left out, and the next one starts from the commit before it
    (see `orchestrator.lineage.bad_commits`). A run that is under way is not stopped; the gate refuses what descends
    from a bad commit. The same rollback with the same reason changes nothing: it counts as a repetition of a
    command that was interrupted.

    Args:
        to: id of the new champion; None: the champion before the present one.
        reason: why.
        on_warning: called with warnings.

    Raises:
        NothingToDecide: there is no champion, no earlier one, or `to` is the champion or bad.
        Claimed, MissingKey, StorageError: as `judge`.
    """
    with claimed(lineage, "promotion", target=to, on_warning=on_warning) as claim:
        held = lineage.fenced(claim.fence)
        state = settle(held)
        if state.champion is None:
            raise NothingToDecide(f"pipeline {lineage.pipeline} has no champion: nothing to roll back")
        last = next((one for one in newest_first(held) if one.kind not in UPDATES), None)
        if last is not None and last.kind == "rollback" and last.reason == reason and to in (None, last.commit):
            return last
        target = to or champion_before(held, state)
        if target is None:
            raise NothingToDecide(
                f"pipeline {lineage.pipeline}: no champion before {state.champion[:12]} is left.\n"
                "Name the commit: --to COMMIT"
            )
        if target == state.champion:
            raise NothingToDecide(f"commit {target[:12]} is the champion already: nothing was changed")
        if target in state.bad:
            raise NothingToDecide(
                f"commit {target[:12]} was itself rolled back.\n"
                f"Name another one, or promote it: --force with --reason lifts its mark"
            )
        held.read(target).require_state()
        bad = sorted({*state.bad, state.champion})
        proposed = None if state.proposed in bad else state.proposed
        after = state.model_copy(update={"champion": target, "proposed": proposed, "bad": tuple(bad)})
        decision = append_decision(held, kind="rollback", commit=target, reason=reason, state=after)
        settle(held)
        return decision


def _promote(lineage: Lineage, commit: str, state: DecisionState, reason: str, *, forced: bool = False) -> Decision:
    after = state.model_copy(
        update={"champion": commit, "proposed": None, "bad": tuple(bad for bad in state.bad if bad != commit)}
    )
    decision = append_decision(
        lineage, kind="promotion", commit=commit, reason=reason[:2000], forced=forced, state=after
    )
    settle(lineage)
    return decision
