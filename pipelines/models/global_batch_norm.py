"""Batch normalisation over the global batch, so that the number of workers does not change what is learned."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from strategies.loop.placeholder import counts


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation (Ioffe & Szegedy 2015) with the statistics of all ranks' samples together.

    For inputs (n, channels, ...) with any number of further dimensions. In training with several ranks it gives what
    torch's BatchNorm gives on the concatenated batch: outputs, gradients and running statistics. Ranks may hold shares
    of different sizes, empty ones included; all must run forward and backward. The loss that is differentiated is the
    sum of the ranks' losses. With one rank, and in evaluation, it is torch's own.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        if input.dim() < 2:
            raise ValueError(f"expected inputs (n, channels, ...), got {input.dim()} dimensions")

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels, ...) to the same shape."""
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(inputs)
        self._check_input_dim(inputs)
        count, mean, variance = _global_moments(inputs)
        # A share of two values or more settles it without waiting for the device.
        if (not counts() or inputs.numel() < 2 * inputs.shape[1]) and count.item() < 2:
            raise ValueError("batch normalisation needs more than one value per channel in the global batch")
        if self.track_running_stats:
            self._track(count, mean.detach(), variance.detach())
        shape = (1, -1, *([1] * (inputs.dim() - 2)))
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        output = (inputs - mean.view(shape)) * scale.view(shape)
        if self.bias is not None:
            output = output + self.bias.view(shape)
        return output.to(inputs.dtype)

    def _track(self, count: Tensor, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance * (count / (count - 1))).to(self.running_var.dtype), momentum)


def convert(model: nn.Module) -> nn.Module:
    """Replaces torch's batch normalisation layers in `model` by `GlobalBatchNorm`, in place.

    Parameters and buffers are the same tensors under the same names, so that optimisers and state dicts still fit.

    Returns:
        The model; a new module if it is a batch normalisation layer itself.
    """
    replaced: dict[nn.Module, GlobalBatchNorm] = {}
    if type(model) in _REPLACED:
        return _global(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) in _REPLACED:
                if child not in replaced:
                    replaced[child] = _global(child)
                setattr(parent, name, replaced[child])
    return model


_REPLACED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def _global(layer: nn.Module) -> GlobalBatchNorm:
    assert isinstance(layer, _BatchNorm)
    made = GlobalBatchNorm(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )
    for name, parameter in layer.named_parameters(recurse=False):
        made.register_parameter(name, parameter)
    for name, buffer in layer.named_buffers(recurse=False):
        made.register_buffer(name, buffer)
    return made.train(layer.training)


def _global_moments(inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values per channel (a scalar), mean and biased variance (channels,) over all ranks, in at least float32.

    Each rank's count, mean and squared deviation are merged (Chan, Golub & LeVeque 1979), which does not cancel as a
    difference of two sums does; all ranks merge them in the same order and get the same bits.
    """
    values = inputs if inputs.dtype == torch.float64 else inputs.float()
    channels = inputs.shape[1]
    dims = [d for d in range(inputs.dim()) if d != 1]
    if not counts():
        values = values[:0]
    count = values.numel() // channels if channels else 0
    mean = values.sum(dims) / max(count, 1)
    shape = (1, -1, *([1] * (inputs.dim() - 2)))
    deviation = (values - mean.view(shape)).square().sum(dims)
    mine = torch.cat([values.new_full((1,), count), mean, deviation])
    ranks = _gather(mine)
    sizes, means, deviations = ranks[:, :1], ranks[:, 1 : channels + 1], ranks[:, channels + 1 :]
    total = sizes.detach().sum()
    merged = (sizes * means).sum(0) / total
    spread = (deviations + sizes * (means - merged).square()).sum(0) / total
    return total, merged, spread


def _gather(mine: Tensor) -> Tensor:
    """The vectors of all ranks, (ranks, length), differentiable."""
    ranks: Tensor = _Gather.apply(mine)  # type: ignore[no-untyped-call]
    return ranks


class _Gather(torch.autograd.Function):
    """Backward: what reaches this rank's vector on all ranks, summed."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        ranks = mine.new_zeros((dist.get_world_size(), *mine.shape))
        ranks[dist.get_rank()] = mine
        dist.all_reduce(ranks)
        return ranks

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]
