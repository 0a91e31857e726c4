"""Fine-tuning: nothing is done against forgetting."""

from __future__ import annotations

from strategies.api.guide import Guide
from strategies.api.strategy import Strategy


class Naive(Strategy):
    """Train on each experience as it comes: the lower bound that every method must beat."""

    name = "naive"
    family = "bound"
    summary = "Fine-tuning, nothing against forgetting: the lower bound"
    paper = "McCloskey & Cohen 1989, Catastrophic interference in connectionist networks"
    guide = Guide(
        time="none",
        memory="nothing",
        use_when="as the lower bound: what forgetting is without protection",
    )
    learns_from_blocks = True
    learns_sharded = True
    bound = "lower"
