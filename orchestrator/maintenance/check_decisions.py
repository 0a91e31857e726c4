"""Verifying the decisions of a pipeline: each record, its place in the chain, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.decisions import (
    UPDATES,
    Decision,
    DecisionState,
    decision_numbers,
    index_of,
    read_decision,
    stored_index,
)

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage


def decision_problems(lineage: Lineage) -> list[tuple[str, str]]:
    """What is wrong: keys of records, and sentences. Raises StorageError when the storage cannot be read."""
    problems: list[tuple[str, str]] = []
    before: Decision | None = None
    expected: int | None = 1
    whole: list[Decision] = []
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
        whole.append(decision)
    key = layout.decision_index_key(lineage.pipeline)
    index = stored_index(lineage)
    # A decision may be added meanwhile: the index is compared with as many as it names.
    if not problems and lineage.store.exists(key) and (index is None or index != index_of(whole[: index.records])):
        problems.append((key, "does not agree with the records: delete it, the next decision writes it again"))
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
