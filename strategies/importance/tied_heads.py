"""Heads whose weights are those of an embedding: what one sample does through both adds up before the square."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.importance.sequence_gradients import add_part, rows_at_once, weighted_sum

Call = tuple[Tensor, Tensor]
"""What enters a layer, (n, ...), and the gradients with respect to its output, (n, ..., outputs)."""


def tied_heads(model: nn.Module) -> dict[nn.Module, nn.Embedding]:
    """The layers that have the trained weights of an embedding, and that embedding; each embedding has one at most."""
    embeddings = {id(m.weight): m for m in model.modules() if isinstance(m, nn.Embedding) and m.weight.requires_grad}
    found: dict[nn.Module, nn.Embedding] = {}
    for module in model.modules():
        other = embeddings.get(id(getattr(module, "weight", None)))
        if other is not None and other is not module and other not in found.values():
            found[module] = other
    return found


def is_linear(head: nn.Module, entering: Tensor, output: Tensor) -> bool:
    """Whether a call was the product with its weights, and nothing else; (n, ..., d) and (n, ..., outputs)."""
    weight, bias = head.weight, getattr(head, "bias", None)
    if output.dim() < 3 or output.dim() != entering.dim():
        return False
    expected = F.linear(entering[:1], weight, bias)  # type: ignore[arg-type]
    return expected.shape == output[:1].shape and torch.allclose(output[:1], expected, rtol=1e-4, atol=1e-5)


def add_tied(
    embedding: nn.Embedding,
    names: tuple[str, str],
    read: Call,
    written: Call,
    weights: Tensor,
    total: dict[str, Tensor],
    absolute: bool,
) -> None:
    """Add what the samples' gradients of the shared weights come to, and of the head's bias.

    Args:
        names: of the weights and of the bias in `total`.
        read, written: what was called of the embedding and of the head.
        weights: (n,), of the samples.
        absolute: absolute values instead of squares.
    """
    (tokens, above), (entering, delta) = read, written
    n = len(tokens)
    rows, above = tokens.reshape(n, -1).long(), above.reshape(n, -1, above.shape[-1])
    if embedding.padding_idx is not None:
        above = above.masked_fill((rows == embedding.padding_idx)[..., None], 0.0)
    back, there = delta.reshape(n, -1, delta.shape[-1]), entering.reshape(n, -1, entering.shape[-1])
    step = rows_at_once(embedding.weight)
    for first in range(0, n, step):
        part = slice(first, first + step)
        own = torch.bmm(back[part].transpose(1, 2), there[part])
        places = rows[part] + own.shape[1] * torch.arange(len(own), device=own.device)[:, None]
        own.flatten(0, 1).index_add_(0, places.flatten(), above[part].flatten(0, 1))
        add_part(total, names[0], weighted_sum(own, weights[part], absolute))
    add_part(total, names[1], weighted_sum(back.sum(1), weights, absolute))
