"""The weights of past and current samples in one batch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from strategies.api.data import Batch

Weighting = Literal["samples", "experiences"]


def joined_weights(batch: Batch, here: int, added: int, seen: int, weighting: Weighting) -> tuple[Tensor | None, float]:
    """Weights of a batch with samples of the past behind its own, and their sum over all ranks.

    Args:
        batch: the batch before samples of the past are added.
        here, added: samples of the past that are added on this rank, and on all ranks together.
        seen: k, the experiences so far, this one included.
        weighting: `samples`: every sample counts the same. `experiences`: the current samples count 1/k, the added ones
            1 - 1/k (van de Ven, Tuytelaars & Tolias 2022, Three types of incremental learning).

    Returns:
        (n + here,), or None when every sample counts 1; and the sum.
    """
    before = batch.weights
    if weighting == "samples":
        if before is None:
            return None, batch.total_weight + added
        return torch.cat([before, before.new_ones(here)]), batch.total_weight + added
    current = torch.ones(len(batch), device=batch.inputs.device) if before is None else before
    past = current.new_full((here,), (1 - 1 / seen) / added)
    return torch.cat([current / (seen * batch.total_weight), past]), 1.0
