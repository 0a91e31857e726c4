"""The diagonal of the Fisher information matrix, exact per sample."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.importance.one_by_one import buffers_kept
from strategies.importance.per_sample_gradients import Objective, per_sample_moment


def diagonal_fisher(
    model: nn.Module, inputs: Tensor, *, targets: Tensor | None = None, units: Tensor | None = None
) -> dict[str, Tensor]:
    """sum over samples of E_y[(d log p(y | x) / d parameter)^2] (Kirkpatrick et al. 2017; Martens 2020, section 5).

    Gradients are squared for each sample. (The square of a batch-mean gradient, often used instead, is about as many
    times smaller as the batch has samples, so that lambda depends on the batch size.)

    Args:
        model: classifier, (n, *shape) -> (n, outputs).
        inputs: (n, *shape), as the model takes them.
        targets: (n,) int64 labels for the empirical Fisher; None: the true Fisher, the expectation over all labels
            under the model's own distribution.
        units: output units between which the softmax decides; None: all.

    Returns:
        The sum over the samples (not the mean), by parameter name, so that the parts of several ranks add up.
    """
    if targets is None:
        outputs = _outputs(model, inputs) if units is None else len(units)
        return per_sample_moment(model, inputs, [_expected(label, units) for label in range(outputs)])
    return per_sample_moment(model, inputs, [_observed(targets, units)])


@torch.no_grad()
def _outputs(model: nn.Module, inputs: Tensor) -> int:
    training = model.training
    model.eval()  # batch normalisation must neither learn from this call nor refuse a single sample
    with buffers_kept(model):
        outputs = int(model(inputs[:1]).shape[1])
    model.train(training)
    return outputs


def _log_softmax(outputs: Tensor, units: Tensor | None) -> Tensor:
    return F.log_softmax((outputs if units is None else outputs[:, units]).float(), dim=1)


def _expected(label: int, units: Tensor | None) -> Objective:
    def objective(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        log_p = _log_softmax(outputs, units)[:, label]
        return log_p, log_p.detach().exp()

    return objective


def _observed(targets: Tensor, units: Tensor | None) -> Objective:
    places = targets if units is None else torch.searchsorted(units, targets)

    def objective(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        log_p = _log_softmax(outputs, units).gather(1, places[rows][:, None])[:, 0]
        return log_p, torch.ones_like(log_p)

    return objective
