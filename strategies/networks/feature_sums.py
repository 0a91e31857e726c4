"""Sums of features over the samples of an experience, exact at any number of ranks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from strategies.api.data import in_chunks
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction

_CHUNK = 500


@torch.no_grad()
def feature_sums(learner: Learner, features: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Over the experience's own samples, float64, the same on every rank.

    Args:
        features: of prepared inputs, (n, d).

    Returns:
        `sums`, (outputs, d): of the features of each target; `counts`, (outputs,): samples of each; `products`, (d, d):
        the sum of z z^T.
    """
    samples = learner.samples
    share = learner.group.share(len(samples))
    own: dict[str, Tensor] = {}
    with learner.evaluating():
        for inputs, targets in samples.batches(in_chunks(share, _CHUNK)):
            z = features(learner.prepare(inputs)).double()
            if not own:
                own = _zeros(learner, z.shape[1])
            own["sums"].index_add_(0, targets.to(z.device), z)
            own["counts"] += targets.to(z.device).bincount(minlength=learner.outputs)
            own["products"] += z.T @ z
        if not own:
            own = _zeros(learner, features(learner.example(samples)).shape[1])
    learner.group.reduce_(list(own.values()), Reduction.SUM)
    return own


def _zeros(learner: Learner, width: int) -> dict[str, Tensor]:
    shapes = {"sums": (learner.outputs, width), "counts": (learner.outputs,), "products": (width, width)}
    return {name: torch.zeros(shape, dtype=torch.float64, device=learner.device) for name, shape in shapes.items()}
