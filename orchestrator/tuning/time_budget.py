"""How much of a search's time budget its trials have used."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.tuning.trial_record import TrialRecord


def covered_seconds(records: Sequence[TrialRecord]) -> float:
    """Seconds during which at least one trial ran."""
    total, until = 0, 0
    for record in sorted(records, key=lambda record: record.started or 0):
        if record.started is not None and record.ended is not None:
            total += max(0, record.ended - max(record.started, until))
            until = max(until, record.ended)
    return total / 1000
