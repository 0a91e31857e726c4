"""Which strategies can work together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from strategies.api.strategy import Strategy

_ONLY_ONE = {
    "training_set": "choose what to train on",
    "training_loss": "choose the loss",
    "predict": "choose how to classify",
    "restructure": "change the model's structure",
}
"""Hooks whose answer replaces something, so that one strategy of a pipeline may have them."""


def refusals(kinds: Sequence[type[Strategy]]) -> list[str]:
    """Why the strategies cannot be combined, a sentence for each pair; nothing when they can.

    Two strategies cannot both answer a question that has one answer, nor be together when one of them says so
    (`Strategy.conflict`).
    """
    found = []
    for one, other in itertools.combinations(kinds, 2):
        both = [
            f"{one.name} and {other.name} both {what}: keep one of them"
            for hook, what in _ONLY_ONE.items()
            if all(getattr(kind, hook) is not getattr(Strategy, hook) for kind in (one, other))
        ]
        declared = [reason for reason in (one.conflict(other), other.conflict(one)) if reason is not None]
        found += (declared or both)[:1]
    return found
