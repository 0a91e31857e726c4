"""Verifying the decisions of a pipeline: each record, its place in the chain, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.decisions import UPDATES, Decision, DecisionState, decision_numbers, read_decision

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage


def decision_problems(lineage: Lineage) -> list[tuple[str, str]]:
    """What is wrong: keys of records, and sentences. Raises StorageError when the storage cannot be read."""
    problems: list[tuple[str, str]] = []
    before: Decision | None = None
    expected: int | None = 1
    for number in decision_numbers(lineage):
        key = layout.decision_key(lineage.pipeline, number)
        try:
            decision = read_decision(lineage, number)
        except StorageError as error:
            problems.append((key, str(error).splitlines()[0].removeprefix(f"{lineage.store.uri}/{key}: ").rstrip(".")))
            before, expected = None, None
            continue
        if decision is None:
            continue  # an unfinished write
        if expected is not None and number != expected:
            problems.append((layout.decision_key(lineage.pipeline, expected), "missing: later decisions follow it"))
        elif expected is not None and decision.previous != (before.checksum if before else None):
            problems.append((key, "it was made after another record than the one before it: the history was changed"))
        elif expected is not None and not _possible(decision, before.state if before else DecisionState()):
            problems.append((key, "its state does not follow from the decisions before it"))
        before, expected = decision, number + 1
    return problems


def _possible(decision: Decision, before: DecisionState) -> bool:
    after = decision.state
    if decision.champion != before.champion or not set(before.refused) <= set(after.refused):
        return False
    if decision.kind in UPDATES:
        return after == before
    if decision.kind == "verdict":
        same = (after.champion, after.proposed, after.bad) == (before.champion, before.proposed, before.bad)
        return same and before.tests <= after.tests <= before.tests + 1
    if decision.kind == "proposal":
        return (after.champion, after.proposed, after.bad) == (before.champion, decision.commit, before.bad)
    if decision.kind == "promotion":
        lifted = tuple(bad for bad in before.bad if bad != decision.commit)
        return after.champion == decision.commit and after.bad == lifted
    return after.champion == decision.commit and set(after.bad) == {*before.bad, before.champion}
