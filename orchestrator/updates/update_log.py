"""Decisions on training among the decisions of a pipeline: what was decided, what it took, and what budget that leaves.

Decisions follow from the records alone: the budget spent is the sum of the seconds in the records of trainings and
searches.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.claim import claimed
from orchestrator.lineage.decisions import UPDATES, Decision, append_decision, last_of, newest_first, settle

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.updates.training_due import Due, Pending

SECONDS = "worker_seconds"
_MOST_COMMITS = 1000


def seconds_since_1970(at: str) -> float:
    """Seconds since 1970 of a time as records hold it."""
    return datetime.fromisoformat(at).timestamp()


def spent(lineage: Lineage, since: float) -> list[tuple[float, float]]:
    """When trainings and searches ended, and how many seconds of work they took, after a time, newest first.

    Raises:
        StorageError: the decisions cannot be read.
    """
    found: list[tuple[float, float]] = []
    for decision in newest_first(lineage):
        at = seconds_since_1970(decision.at)
        if at <= since:
            break
        seconds = decision.evidence.get(SECONDS)
        if decision.kind in UPDATES and isinstance(seconds, (int, float)):
            found.append((at, float(seconds)))
    return found


def record_due(lineage: Lineage, latest: str, due: Due, pending: Pending, measures: dict[str, Any]) -> Decision | None:
    """Record what was decided; None where the same was recorded before, and nothing else since.

    Raises:
        Claimed: another process is deciding.
        StorageError: the decisions cannot be read or written.
    """
    evidence = {
        "rule": due.rule,
        "pending": list(pending.experiences),
        "rows": pending.rows,
        "retune": due.retune,
        "measures": measures,
    }
    same = ("rule", "pending", "retune")
    outcome = "train" if due.train else "wait"
    last = last_of(lineage, "update")
    again = last is not None and (last.outcome, last.commit) == (outcome, latest)
    if last is not None and again and all(last.evidence.get(key) == evidence[key] for key in same):
        return None
    return _append(lineage, kind="update", commit=latest, outcome=outcome, reason=due.reason[:2000], evidence=evidence)


def record_training(lineage: Lineage, latest: Commit, workers: int) -> Decision | None:
    """Record what the commits up to this one took that no record has yet; None where there is none.

    A training that was killed is recorded by the next step, as far as it has left commits.

    Raises:
        Claimed, StorageError: as `record_due`.
    """
    last = last_of(lineage, "training")
    known = None if last is None else last.commit
    made: list[Commit] = []
    commit: Commit | None = latest
    while commit is not None and commit.id != known and len(made) < _MOST_COMMITS:
        made.append(commit)
        # Commits from before the first record do not count against the budget.
        commit = None if known is None or commit.parent is None else lineage.read_if_there(commit.parent)
    if not made:
        return None
    seconds = round(sum(sum(one.timings.values()) for one in made) * workers, 3)
    evidence = {SECONDS: seconds, "commits": [one.id for one in made[::-1]], "workers": workers}
    return _append(lineage, kind="training", commit=latest.id, reason="", evidence=evidence)


def record_search(lineage: Lineage, latest: str, reason: str, evidence: dict[str, Any]) -> Decision:
    """Record a search of settings. Raises as `record_due`."""
    return _append(lineage, kind="retune", commit=latest, reason=reason[:2000], evidence=evidence)


def _append(lineage: Lineage, **fields: Any) -> Decision:
    with claimed(lineage, "promotion", target=fields["commit"]) as claim:
        held = lineage.fenced(claim.fence)
        return append_decision(held, state=settle(held), **fields)
