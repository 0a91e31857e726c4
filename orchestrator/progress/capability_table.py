"""The verdicts on a model's capabilities, as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.lineage.capability_record import CapabilityRecord
    from orchestrator.lineage.commit import Commit


def capability_table(commits: Sequence[Commit]) -> Table:
    """A row for each capability of each commit; where there are several commits, they are called by experience."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    several = len(commits) > 1
    for heading in (*(["experience"] if several else []), "capability", "items", "before", "now", "lost", "won"):
        table.add_column(heading, justify="left" if heading == "capability" else "right")
    table.add_column("verdict")
    table.add_column("would decide", justify="right")
    for commit in commits:
        for place, one in enumerate(commit.capabilities or ()):
            first = [str(commit.experience.index) if not place else ""] if several else []
            flips = ["" if count is None else str(count) for count in (one.lost, one.won)]
            shown = [reached(one, one.base), reached(one, one.value)]
            wanted = "" if one.wanted is None else f"{one.wanted:,} items"
            table.add_row(*first, one.name, f"{one.items:,}", *shown, *flips, one.verdict, wanted)
    return table


def reached(record: CapabilityRecord, value: float) -> str:
    """The share of right answers, or the perplexity of texts."""
    from orchestrator.progress.number_format import percent

    if record.kind == "perplexity":
        return f"ppl {math.exp(min(-value, 700)):.4g}"
    return f"{percent(value)} %"


def lost_text(record: CapabilityRecord) -> str:
    """A warning of a capability that was lost."""
    return (
        f"the capability {record.name} was lost: {reached(record, record.base)} before the stream, "
        f"{reached(record, record.value)} now ({record.items:,} items, p {record.p_lost:.2g})"
    )
