"""Greedy decoding: the likeliest next token of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.data.packing import PADDING
from pipelines.models.key_value_cache import current_cache

# Logits that are computed at a time: 256 MB in single precision.
_MOST_LOGITS = 1 << 26


def next_tokens(scores: Callable[[Tensor], Tensor], sequences: Sequence[Sequence[int]], vocabulary: int) -> list[int]:
    """The likeliest next token of each of some sequences, of which none is empty.

    Within `key_value_cache.generating`, only the newest token of a text passes through the model.

    Args:
        scores: of a causal model, from tokens (n, length) int32, with -1 behind the end of a sequence, to logits
            (n, vocabulary, length).
        vocabulary: how many tokens the logits are for.
    """
    longest, cache = max(map(len, sequences), default=1), current_cache()
    found: list[int] = []
    while len(found) < len(sequences):
        # With a cache there are the logits of one token of each sequence.
        each = 1 if cache is not None and cache.answers else longest
        part = sequences[len(found) :][: max(1, _MOST_LOGITS // (vocabulary * each))]
        padded = torch.full((len(part), max(map(len, part))), PADDING, dtype=torch.int32)
        for row, tokens in enumerate(part):
            padded[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        output = scores(padded)
        last = torch.tensor([len(tokens) - 1 for tokens in part], device=output.device)
        found += output[torch.arange(len(part), device=output.device), :, last].argmax(1).tolist()
    return found
