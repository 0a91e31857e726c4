"""Projection of a gradient so that it does not point against reference gradients."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def project(gradient: Tensor, references: Tensor, margin: float = 0.0) -> Tensor:
    """The quadratic programme of GEM (Lopez-Paz & Ranzato 2017, equations 8 to 12).

    With a margin of 0: the vector closest to `gradient` whose inner product with every reference is at least 0. It is
    found in the dual, min over v >= margin of ||references^T v + gradient||^2, which has as many unknowns as there are
    references, by non-negative least squares (Lawson & Hanson 1974, scipy.optimize.nnls). A margin makes every
    reference pull at least so much, once one of them is violated.

    Args:
        gradient: (p,). references: (k, p).

    Returns:
        (p,): `gradient` itself, when no inner product is negative.
    """
    norms = references.norm(dim=1)
    if not bool((norms > 0).all()):
        references, norms = references[norms > 0], norms[norms > 0]
    # What a loss that has all but vanished says about the direction counts, and its square must not be 0.
    least = torch.finfo(norms.dtype).tiny ** 0.4
    extreme = bool(((norms < least) | (norms > 1 / least)).any())
    rows, lengths = (references / norms[:, None], torch.ones_like(norms)) if extreme else (references, norms)
    products = rows @ gradient / lengths
    if bool((products >= 0).all()):
        return gradient
    v = _dual(rows @ rows.T / lengths / lengths[:, None], products, margin * norms)
    projected: Tensor = torch.addmv(gradient, rows.T, v.to(gradient) / lengths)
    return projected


def _dual(gram: Tensor, products: Tensor, least: Tensor) -> Tensor:
    """argmin over v >= least of v^T gram v / 2 + products^T v, as (k,) float64."""
    from scipy.optimize import nnls

    p, q, low = (t.double().cpu().numpy() for t in (gram, products, least))
    # gram = A^T A with A from its eigenvectors, so that dependent references need no regularisation; q is in its range.
    values, vectors = np.linalg.eigh(p)
    keep = values > values[-1] * len(q) * torch.finfo(gram.dtype).eps
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
