"""Projection of a gradient so that it does not point against reference gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def project(gradient: Tensor, references: Tensor, margin: float = 0.0) -> Tensor:
    """The quadratic programme of GEM (Lopez-Paz & Ranzato 2017, equations 8 to 12).

    With a margin of 0: the vector closest to `gradient` whose inner product with every reference is at least 0. With a
    margin, once one reference is violated, at least margin times every reference is added.

    Args:
        gradient: (p,). references: (k, p).

    Returns:
        (p,): `gradient` itself, when no inner product is negative.
    """
    found = pulls([gradient], references, margin)
    return gradient if found is None else torch.addmv(gradient, references.T, found.to(gradient))


def pulls(gradient: Sequence[Tensor], references: Tensor, margin: float = 0.0) -> Tensor | None:
    """How much of each reference `project` adds to the gradient.

    It is found in the dual, min over v >= margin of ||references^T v + gradient||^2, which has as many unknowns as
    there are references, by non-negative least squares (Lawson & Hanson 1974, scipy.optimize.nnls).

    Args:
        gradient: in parts, which have p elements together. references: (k, p).

    Returns:
        (k,) float64; None when no inner product is negative.
    """
    products, gram = _products(gradient, references), references @ references.T
    least = torch.finfo(gram.dtype).tiny ** 0.8
    if not bool(((gram.diagonal() > least) & (gram.diagonal() < 1 / least)).all()):
        # A gradient of a nearly vanished loss still has a direction, and its square must not underflow to 0.
        references = references.double()
        products, gram = _products([g.double() for g in gradient], references), references @ references.T
    if bool((products >= 0).all()):
        return None
    accuracy = torch.finfo(references.dtype).eps
    products, gram = products.double().cpu(), gram.double().cpu()
    norms = gram.diagonal().sqrt()
    norms[norms == 0] = 1.0
    return _dual(gram / norms / norms[:, None], products / norms, margin * norms, accuracy) / norms


def inner(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    """Inner product of two lists of the same shapes, 0-dim."""
    # As a matrix and a vector: torch.dot takes twice the time on a CPU.
    return torch.stack([x.reshape(1, -1) @ y.reshape(-1) for x, y in zip(a, b, strict=True)]).sum()


def _products(gradient: Sequence[Tensor], references: Tensor) -> Tensor:
    """(k,): inner products of a gradient in parts with each reference."""
    columns = references.split([g.numel() for g in gradient], dim=1)
    return torch.stack([column @ g.reshape(-1) for column, g in zip(columns, gradient, strict=True)]).sum(0)


def _dual(gram: Tensor, products: Tensor, least: Tensor, accuracy: float) -> Tensor:
    """argmin over v >= least of v^T gram v / 2 + products^T v, as (k,) float64.

    Args:
        accuracy: relative accuracy of `gram`.
    """
    from scipy.optimize import nnls

    p, q, low = (t.numpy() for t in (gram, products, least))
    # gram = A^T A with A from its eigenvectors, so that dependent references need no regularisation; q is in its range.
    values, vectors = np.linalg.eigh(p)
    keep = values > values[-1] * len(q) * accuracy
    root = np.sqrt(values[keep])
    a = root[:, None] * vectors[:, keep].T
    b = (vectors[:, keep].T @ q) / root
    return torch.from_numpy(nnls(a, -(b + a @ low))[0] + low)


def project_off(gradient: list[Tensor], reference: list[Tensor]) -> Tensor:
    """How much of `reference` to subtract from `gradient`, 0-dim: A-GEM (Chaudhry et al. 2019, equation 11).

    Args:
        gradient, reference: the same shapes.

    Returns:
        min(gradient . reference, 0) / (reference . reference): gradient - that * reference is the closest vector whose
        inner product with the reference is not negative.
    """
    product, norm = inner(gradient, reference), inner(reference, reference)
    return torch.where(norm > 0, product.clamp(max=0) / norm, torch.zeros_like(norm))
