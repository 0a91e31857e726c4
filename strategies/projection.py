"""Projection of a gradient so that it does not point against reference gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Numbers of one tensor that are looked at together: so few that a block of each gradient stays in the cache.
_BLOCK = 1 << 15


def project(gradient: Sequence[Tensor], references: Sequence[Sequence[Tensor]], margin: float = 0.0) -> bool:
    """The quadratic programme of GEM (Lopez-Paz & Ranzato 2017, equations 8 to 12), in place.

    With a margin of 0, `gradient` becomes the closest vector whose inner product with every reference is at least 0. It
    is found in the dual, min over v >= margin of ||references^T v + gradient||^2, which has as many unknowns as there
    are references, by non-negative least squares (Lawson & Hanson 1974, scipy.optimize.nnls). A margin makes every
    reference pull at least so much, once one of them is violated.

    Args:
        gradient: tensors of any shapes. references: k of the same.

    Returns:
        Whether `gradient` was changed: not when no inner product is negative.
    """
    rows: list[Sequence[Tensor]] = list(references)
    scales = torch.ones(len(rows), dtype=torch.float64)
    kind = torch.finfo(gradient[0].dtype)
    gram = _gram([*rows, gradient])
    # What a loss that has all but vanished says about the direction counts, and its square must not be 0.
    least = kind.tiny**0.8
    squares = gram.diagonal()[:-1]
    if not bool(((squares >= least) & (squares <= 1 / least)).all()):
        scales = torch.stack([torch.stack([t.abs().max() for t in row]).max() for row in rows]).double().cpu()
        rows = [
            [t / scale for t in row] for row, scale in zip(rows, scales.tolist(), strict=True) if scale >= kind.tiny
        ]
        scales = scales[scales >= kind.tiny]
        gram = _gram([*rows, gradient])
    lengths, products = gram.diagonal()[:-1].sqrt(), gram[-1, :-1]
    if bool((products >= 0).all()) or not bool(gram[:-1].isfinite().all()):
        return False
    directions = gram[:-1, :-1] / lengths / lengths[:, None]
    v = _dual(directions, products / lengths, margin * scales * lengths, kind.eps) / lengths
    for g, *parts in zip(gradient, *rows, strict=True):
        for part, much in zip(parts, v.tolist(), strict=True):
            g.add_(part, alpha=much)
    return True


def _gram(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Inner products of all pairs of gradients, (n, n) float64; each of them passes through memory once."""
    first = rows[0]
    total = first[0].new_zeros(len(rows), len(rows))
    block = _BLOCK if total.device.type == "cpu" else max(t.numel() for t in first)
    kept = total.new_empty(len(rows) * min(block, max(t.numel() for t in first)))
    for parts in zip(*rows, strict=True):
        flat = [part.reshape(-1) for part in parts]
        for pieces in zip(*(part.split(block) for part in flat), strict=True):
            together = kept[: len(rows) * len(pieces[0])].view(len(rows), -1)
            torch.stack(pieces, out=together)
            total.addmm_(together, together.T)
    return total.double().cpu()


def _dual(gram: Tensor, products: Tensor, least: Tensor, precision: float) -> Tensor:
    """argmin over v >= least of v^T gram v / 2 + products^T v, as (k,); all are float64.

    Args:
        precision: relative, of what `gram` was made from.
    """
    from scipy.optimize import nnls

    p, q, low = (t.numpy() for t in (gram, products, least))
    # gram = A^T A with A from its eigenvectors, so that dependent references need no regularisation; q is in its range.
    values, vectors = np.linalg.eigh(p)
    keep = values > values[-1] * len(q) * precision
    root = np.sqrt(values[keep])
    a = root[:, None] * vectors[:, keep].T
    b = (vectors[:, keep].T @ q) / root
    return torch.from_numpy(nnls(a, -(b + a @ low))[0] + low)


def project_off(gradient: list[Tensor], reference: list[Tensor]) -> Tensor:
    """How much of `reference` to take off `gradient`, 0-dim: A-GEM (Chaudhry et al. 2019, equation 11).

    Args:
        gradient, reference: the same shapes.

    Returns:
        min(gradient . reference, 0) / (reference . reference): gradient - that * reference is the closest vector whose
        inner product with the reference is not negative.
    """
    product = torch.stack([g.flatten().dot(r.flatten()) for g, r in zip(gradient, reference, strict=True)]).sum()
    norm = torch.stack([r.flatten().dot(r.flatten()) for r in reference]).sum()
    return torch.where(norm > 0, product.clamp(max=0) / norm, torch.zeros_like(norm))
