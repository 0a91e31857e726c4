"""Knowledge distillation: how far a model's outputs are from a teacher's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def softened_cross_entropy(output: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * cross entropy between softmax(teacher / T) and softmax(output / T) for each sample, (n,).

    Hinton, Vinyals & Dean 2015, Distilling the knowledge in a neural network; the factor T^2 keeps the size of the
    gradient when T changes.

    Args:
        output, teacher: (n, units) logits.
        temperature: T > 0.
    """
    target = F.softmax(teacher / temperature, dim=1)
    return -(target * F.log_softmax(output / temperature, dim=1)).sum(1) * temperature**2


def sigmoid_cross_entropy(output: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropies of the units, added up for each sample, (n,) (Rebuffi et al. 2017, algorithm 3).

    Args:
        output: (n, units) logits.
        targets: (n, units) in [0, 1]: labels, or what a teacher's sigmoid says.
    """
    return F.binary_cross_entropy_with_logits(output, targets, reduction="none").sum(1)
