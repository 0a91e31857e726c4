"""What a person has to know to choose a strategy, as plain data: for `everlearn list strategies`."""

from __future__ import annotations

from dataclasses import dataclass

NEEDS = ("memory", "old data", "task labels")
"""Rehearsal samples that are kept, all data of the past, or the task of a test sample (given, or inferred)."""


@dataclass(frozen=True)
class Guide:
    """Of one strategy.

    Attributes:
        needs: of `NEEDS`; nothing else than the experience's data where empty.
        time: cost per experience, beside plain training.
        memory: what is kept from one experience to the next.
        use_when: when to use it.
    """

    needs: tuple[str, ...]
    time: str
    memory: str
    use_when: str
