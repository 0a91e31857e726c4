"""Greedy decoding: the likeliest token behind a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.data.packing import PADDING

# Logits that are computed at a time: 256 MB in single precision.
_MOST_LOGITS = 1 << 26


def next_tokens(scores: Callable[[Tensor], Tensor], sequences: Sequence[Sequence[int]], vocabulary: int) -> list[int]:
    """The likeliest token behind each of some sequences, of which none is empty.

    Args:
        scores: of a causal model, from tokens (n, length) int32, with -1 behind the end of a sequence, to logits
            (n, vocabulary, length).
        vocabulary: how many tokens the logits are for.
    """
    longest = max(map(len, sequences), default=1)
    rows, found = max(1, _MOST_LOGITS // (vocabulary * longest)), []
    for start in range(0, len(sequences), rows):
        part = sequences[start : start + rows]
        padded = torch.full((len(part), max(map(len, part))), PADDING, dtype=torch.int32)
        for row, tokens in enumerate(part):
            padded[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        output = scores(padded)
        last = torch.tensor([len(tokens) - 1 for tokens in part], device=output.device)
        found += output[torch.arange(len(part), device=output.device), :, last].argmax(1).tolist()
    return found
