"""Batch normalisation over the global batch, so that the number of workers does not change what is learned."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from pipelines.config.pipeline_errors import PipelineError
from strategies.loop.placeholder import counts


class GlobalBatchNorm(_BatchNorm):
    """Batch normalisation (Ioffe & Szegedy 2015) with the statistics of all ranks' samples together.

    For inputs (n, channels, ...) with any number of further dimensions. In training with several ranks it gives what
    torch's BatchNorm gives on the concatenated batch: outputs, gradients and running statistics. Ranks may hold shares
    of different sizes, empty ones included; all must run forward and backward. The loss that is differentiated is the
    sum of the ranks' losses. With one rank, and in evaluation, torch's own implementation is used.
    """

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 (torch's name)
        if input.dim() < 2:
            raise ValueError(f"expected inputs (n, channels, ...), got {input.dim()} dimensions")

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, channels, ...) to the same shape."""
        if _reached is not None:
            _reached.add(self)
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(inputs)
        self._check_input_dim(inputs)
        count, mean, variance = _global_moments(inputs)
        # A share with two values or more is enough, without waiting for the device.
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


class GlobalInstanceNorm(_InstanceNorm):
    """Instance normalisation whose running statistics are those of all ranks' samples."""

    def _apply_instance_norm(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
        if not (several and self.training and self.running_mean is not None and self.running_var is not None):
            plain: Tensor = super()._apply_instance_norm(input)  # type: ignore[no-untyped-call]
            return plain
        with torch.no_grad():
            own = (input if counts() else input[:0]).flatten(2)
            sums = torch.stack([own.mean(2).sum(0), own.var(2).sum(0), own.new_full((own.shape[1],), len(own))])
            dist.all_reduce(sums)
            momentum = 0.0 if self.momentum is None else self.momentum
            self.running_mean.lerp_((sums[0] / sums[2]).to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((sums[1] / sums[2]).to(self.running_var.dtype), momentum)
        return F.instance_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)


def convert(model: nn.Module) -> nn.Module:
    """Makes the layers in `model` that take statistics of a batch take those of the global batch, in place.

    Torch's batch normalisation layers become a `GlobalBatchNorm`. A subclass of one keeps its class, whose forward pass
    finds `GlobalBatchNorm`'s where it calls super().forward (see `check_workers`).

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
    for layer in model.modules():
        if isinstance(layer, _BatchNorm) and not isinstance(layer, GlobalBatchNorm):
            layer.__class__ = _derived(type(layer), GlobalBatchNorm)
        elif isinstance(layer, _InstanceNorm) and not isinstance(layer, GlobalInstanceNorm):
            layer.__class__ = _derived(type(layer), GlobalInstanceNorm)
    return model


def check_workers(model: nn.Module, example: Tensor) -> None:
    """Refuse layers that several workers cannot run as one worker does.

    Args:
        model: converted.
        example: a few prepared inputs.

    Raises:
        PipelineError: names the layer and what to do.
    """
    global _reached
    names = {layer: name for name, layer in model.named_modules() if isinstance(layer, GlobalBatchNorm)}
    one = "or set scaling.workers: 1"
    for layer, name in names.items():
        if layer.running_mean is None:
            raise PipelineError(
                f"model: layer '{name}' ({_plain_name(layer)}) keeps no running statistics, so that its answers depend "
                f"on which samples a worker has: set track_running_stats=True, {one}"
            )
    called: list[nn.Module] = []
    handles = [layer.register_forward_pre_hook(lambda layer, _: called.append(layer)) for layer in names]
    training, _reached = model.training, set()
    model.eval()
    try:
        with torch.no_grad():
            model(example)
        missed = [names[layer] for layer in called if layer not in _reached]  # type: ignore[index]
    finally:
        _reached = None
        model.train(training)
        for handle in handles:
            handle.remove()
    if missed:
        kind = _plain_name(model.get_submodule(missed[0]))
        raise PipelineError(
            f"model: layer '{missed[0]}' ({kind}) computes batch normalisation in its own forward(), where workers "
            f"cannot share their statistics: call super().forward() there, {one}"
        )


_reached: set[nn.Module] | None = None
"""While it is looked for: the layers whose forward pass came to `GlobalBatchNorm`."""

_REPLACED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def _derived(kind: type[nn.Module], shared: type[nn.Module]) -> Any:
    """`kind` with `shared` between torch's class for one dimension and the one for all."""
    return type(kind.__name__, (kind, shared), {"__module__": kind.__module__})


def _plain_name(layer: nn.Module) -> str:
    return "BatchNorm" if type(layer) is GlobalBatchNorm else type(layer).__name__


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
    """Backward: the gradients of this rank's vector, summed over all ranks."""

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
