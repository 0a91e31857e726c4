"""Is what was admitted trained now, and are settings searched first? A pure function of the file and what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.config.sections.source_section import seconds_of
from pipelines.config.sections.update_section import UpdateSpec, WhenSpec

Rule = Literal["first", "any", "drift", "rows", "every", "cooldown", "budget"]


@dataclass(frozen=True)
class Pending:
    """What was admitted and is not trained yet.

    Attributes:
        experiences: their serial numbers.
        rows: of all their files.
        drift: sentences on what differs from what was learned; empty: nothing does, or it was not asked.
        errors: a sentence, where the errors of the model have grown.
    """

    experiences: tuple[int, ...]
    rows: int
    drift: tuple[str, ...] = ()
    errors: str | None = None


@dataclass(frozen=True)
class Past:
    """What was trained so far.

    Attributes:
        trained: when the newest model was made, in seconds since 1970; None: there is none.
        spent: when trainings and searches ended, in seconds since 1970, and how many seconds of work they took, over
            all workers.
    """

    trained: float | None = None
    spent: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True)
class Due:
    """What is to be done with what is pending.

    Attributes:
        train: whether it is trained now.
        rule: what decided.
        reason: a sentence for a person.
        retune: how many settings may be tried before; 0: the present ones are kept.
        budget: seconds of work that are left for the search and the training; None: no limit.
    """

    train: bool
    rule: Rule
    reason: str
    retune: int = 0
    budget: float | None = None


def training_due(update: UpdateSpec, pending: Pending, past: Past, now: float) -> Due:
    """Decide. What is pending is at least one experience.

    Args:
        now: in seconds since 1970.
    """
    left = budget_left(update, past, now)
    if past.trained is None:
        return Due(True, "first", "there is no model yet", budget=left)
    wish = _wish(update, pending, past.trained, now)
    if not wish.train:
        return wish
    if update.cooldown is not None and now - past.trained < seconds_of(update.cooldown):
        return Due(False, "cooldown", f"the last training is less than {update.cooldown} ago ({wish.reason})")
    if left is not None and left <= 0:
        assert update.budget is not None
        hours, per = update.budget.worker_hours, update.budget.per
        return Due(False, "budget", f"the budget of {hours:g} worker hours per {per} is spent ({wish.reason})")
    trials = update.retune.trials if update.retune is not None and pending.errors is not None else 0
    reason = f"{wish.reason}; {pending.errors}" if trials and pending.errors not in pending.drift else wish.reason
    return Due(True, wish.rule, reason, trials, left)


def budget_left(update: UpdateSpec, past: Past, now: float) -> float | None:
    """Seconds of work that may still be done now; None: there is no budget. Below 0: it was exceeded."""
    if update.budget is None:
        return None
    begin = now - seconds_of(update.budget.per)
    return update.budget.worker_hours * 3600 - sum(seconds for ended, seconds in past.spent if ended > begin)


def _wish(update: UpdateSpec, pending: Pending, trained: float, now: float) -> Due:
    when: WhenSpec | str = update.when
    count = len(pending.experiences)
    waiting = f"{count} {'experience waits' if count == 1 else 'experiences wait'}"
    if when == "any":
        return Due(True, "any", waiting)
    if when == "drift":
        if pending.drift:
            return Due(True, "drift", "; ".join(pending.drift))
        return Due(False, "drift", f"{waiting}: like what was learned")
    assert isinstance(when, WhenSpec)
    if when.rows is not None:
        return Due(pending.rows >= when.rows, "rows", f"{pending.rows} of {when.rows} rows wait")
    assert when.every is not None
    over = now - trained >= seconds_of(when.every)
    return Due(over, "every", f"{waiting}; the last training is {'at least' if over else 'less than'} {when.every} ago")
