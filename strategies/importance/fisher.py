"""The diagonal of the Fisher information matrix, exact per sample."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from strategies.importance.one_by_one import buffers_kept
from strategies.importance.per_sample_gradients import per_sample_moment
from strategies.objectives.classification import Classification
from strategies.objectives.objective import Objective


def diagonal_fisher(
    model: nn.Module,
    inputs: Tensor,
    *,
    targets: Tensor | None = None,
    units: Tensor | None = None,
    objective: Objective | None = None,
) -> dict[str, Tensor]:
    """sum over samples of E_y[(d log p(y | x) / d parameter)^2] (Kirkpatrick et al. 2017; Martens 2020, section 5).

    Gradients are squared for each sample. (The square of a batch-mean gradient, often used instead, is about as many
    times smaller as the batch has samples, so that lambda depends on the batch size.)

    Args:
        model: (n, *shape) -> (n, outputs).
        inputs: (n, *shape), as the model takes them.
        targets: of the inputs, for the empirical Fisher; None: the true Fisher, the expectation over all targets
            under the model's own distribution.
        units: output units that take part; None: all.
        objective: whose likelihood p is; None: classification, by a softmax over the units.

    Returns:
        The sum over the samples (not the mean), by parameter name, so that the parts of several ranks add up.
    """
    outputs = 0
    if targets is None:
        outputs = _outputs(model, inputs) if units is None else len(units)
    terms = (objective or Classification()).fisher_targets(outputs, targets, units)
    return per_sample_moment(model, inputs, terms)


@torch.no_grad()
def _outputs(model: nn.Module, inputs: Tensor) -> int:
    training = model.training
    model.eval()  # batch normalisation must neither learn from this call nor refuse a single sample
    with buffers_kept(model):
        outputs = int(model(inputs[:1]).shape[1])
    model.train(training)
    return outputs
