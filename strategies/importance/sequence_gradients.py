"""Closed forms of per-sample gradients for layers that see every position of a sequence: the parts of a transformer.

A sample's gradient is the sum over its positions, which add up before the square. (A linear layer that sees one vector
of each sample needs no gradient of its own for each sample: see `per_sample_gradients`.)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.importance.scalings import may_scale, slope

_MOST = 50_000_000
"""Numbers that the gradients of single samples may take at a time."""

_NORMS = (nn.LayerNorm, nn.RMSNorm)


def has_positions(module: nn.Module) -> bool:
    """Whether the layer is an embedding or a normalisation whose closed form is known; linear layers are not asked."""
    if isinstance(module, nn.Embedding):
        plain = module.max_norm is None and not module.scale_grad_by_freq
        return plain and type(module).forward is nn.Embedding.forward
    if isinstance(module, _NORMS):
        return type(module).forward in (nn.LayerNorm.forward, nn.RMSNorm.forward)
    return may_scale(module)


def per_position(module: nn.Module, entering: Tensor, output: Tensor) -> bool:
    """Whether a call of a layer is one whose closed form is here: (n, ..., d), with the samples in front."""
    if isinstance(module, nn.Linear):
        return output.dim() > 2
    if isinstance(module, nn.Embedding):
        return output.dim() > 1 and output.dim() == entering.dim() + 1
    if isinstance(module, _NORMS):
        return output.dim() > len(module.normalized_shape)
    return may_scale(module) and output.dim() > 1 and output.shape == entering.shape


def add_positions(
    module: nn.Module,
    prefix: str,
    entering: Tensor,
    delta: Tensor,
    weights: Tensor,
    total: dict[str, Tensor],
    absolute: bool,
) -> None:
    """Add what the samples' gradients for a layer come to.

    Args:
        prefix: of the names of its parameters in `total`.
        entering: (n, ..., inputs), or (n, ...) of numbers of rows for an embedding.
        delta: (n, ..., outputs): the gradients with respect to its output.
        weights: (n,), of the samples.
        absolute: absolute values instead of squares.
    """
    if isinstance(module, nn.Embedding):
        add_part(total, f"{prefix}weight", _embedding(module, entering, delta, weights, absolute))
        return
    n = len(delta)
    if isinstance(module, nn.Linear):
        back, there = delta.reshape(n, -1, delta.shape[-1]), entering.reshape(n, -1, entering.shape[-1])
        if f"{prefix}weight" in total:
            rows = rows_at_once(module.weight)
            for first in range(0, n, rows):
                part = slice(first, first + rows)
                own = torch.bmm(back[part].transpose(1, 2), there[part])
                add_part(total, f"{prefix}weight", weighted_sum(own, weights[part], absolute))
    else:
        shape = list(module.weight.shape if module.weight is not None else module.normalized_shape)  # type: ignore[arg-type]
        if isinstance(module, nn.LayerNorm):
            normal = F.layer_norm(entering, shape, eps=module.eps)
        elif isinstance(module, nn.RMSNorm):
            normal = F.rms_norm(entering, shape, eps=module.eps)
        else:
            normal = slope(module, entering)
        back = delta.reshape(n, -1, *shape)
        own = (back * normal.reshape(back.shape)).sum(1)
        add_part(total, f"{prefix}weight", weighted_sum(own, weights, absolute))
    add_part(total, f"{prefix}bias", weighted_sum(back.sum(1), weights, absolute))


def _embedding(module: nn.Embedding, tokens: Tensor, delta: Tensor, weights: Tensor, absolute: bool) -> Tensor:
    """(rows, d). Only rows that a sample has are there: a gradient for each sample would be as many embeddings."""
    n, count = len(delta), module.num_embeddings
    places = tokens.reshape(n, -1).long() + count * torch.arange(n, device=tokens.device)[:, None]
    found, of = places.flatten().unique(return_inverse=True)
    own = delta.new_zeros(len(found), delta.shape[-1]).index_add_(0, of, delta.reshape(-1, delta.shape[-1]))
    samples, rows = found // count, found % count
    summed = moment(own, absolute) * weights[samples, None]
    if module.padding_idx is not None:
        summed[rows == module.padding_idx] = 0.0
    return delta.new_zeros(count, delta.shape[-1]).index_add_(0, rows, summed)


def rows_at_once(weight: Tensor) -> int:
    """Samples whose gradients of these weights may be in memory together."""
    return max(1, _MOST // weight.numel())


def moment(values: Tensor, absolute: bool) -> Tensor:
    """Absolute values, or squares."""
    return values.abs() if absolute else values.square()


def weighted_sum(gradients: Tensor, weights: Tensor, absolute: bool) -> Tensor:
    """The sum over the samples of their weighted moments: (n, ...) to (...)."""
    return torch.einsum("n,n...->...", weights, moment(gradients, absolute))


def add_part(total: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add to a parameter, if it is one of those that are asked for."""
    if name in total:
        total[name] += value.view_as(total[name])
