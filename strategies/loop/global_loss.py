"""The loss of the global batch, of which each rank computes a part, and its gradients on every rank."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from strategies.api.data import Batch
from strategies.loop.batch_statistics import layers_with_statistics
from strategies.loop.process_group import Group
from strategies.loop.sharded_model import is_shared_out


class GlobalLoss:
    """Backward passes through a model whose gradients are those of the sum of all ranks' losses.

    Attributes:
        whole_parts: the global batch is divided into parts, not each rank's share, because layers take statistics of
            each part.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Batch], Tensor],
        group: Group,
        example: Callable[[], Tensor],
        parts: int = 1,
    ) -> None:
        """
        Args:
            model: has the same parameters on every rank.
            loss: this rank's part of the loss of a batch, with its graph.
            example: gives some prepared inputs, (n, *shape), the same on every rank.
            parts: number of parts in which each batch passes through the model.
        """
        self._loss = loss
        self._parts = parts
        self.whole_parts = parts > 1 and bool(layers_with_statistics(model))
        self._ranks = group.size
        self._distributed: DistributedDataParallel | None = None
        self._shared_out = group.size > 1 and is_shared_out(model)
        if group.size > 1 and not self._shared_out:
            self._distributed = DistributedDataParallel(
                _Whole(model, loss),
                forward_sync_buffers=False,
                find_unused_parameters=not _is_static(model) or _leaves_parameters_unused(model, example()),
            )

    def backward(self, batch: Batch) -> Tensor:
        """Add the gradients of the global loss to the parameters', and return this rank's part of the loss, 0-dim."""
        total: Tensor | None = None
        # Statistics take two samples, and all ranks have to take them equally often.
        parts = min(self._parts, max(1, batch.total_samples // 2)) if self.whole_parts else self._parts
        # A model that is shared out communicates in each pass.
        pieces = batch.split(parts, empty=self._shared_out)
        for number, piece in enumerate(pieces):
            if self._distributed is None:
                loss = self._loss(piece)
                # FSDP divides gradients by the number of ranks, too.
                (loss * self._ranks if self._shared_out else loss).backward()
            else:
                last = number == len(pieces) - 1
                with nullcontext() if last else self._distributed.no_sync():
                    loss = self._distributed(piece)
                    (loss * self._ranks).backward()  # gradients are divided by the number of ranks
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None
        return total


class _Whole(nn.Module):
    """Model and loss in one module, so that DistributedDataParallel sees parameters that only the loss uses."""

    def __init__(self, model: nn.Module, loss: Callable[[Batch], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(batch)


def _is_static(model: nn.Module) -> bool:
    """Whether every forward pass is known to use the same parameters: it is for torch's layers and Everlearn's only.

    A user's model may draw which of its layers it uses (stochastic depth), or use some in evaluation only.
    """
    return all(type(m).__module__.partition(".")[0] in ("torch", "strategies", "pipelines") for m in model.modules())


def _leaves_parameters_unused(model: nn.Module, example: Tensor) -> bool:
    """Whether some parameter has no part in the output; asking DistributedDataParallel to look costs every step."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    training = model.training
    model.eval()
    output = model(example)
    model.train(training)
    if not output.requires_grad:  # in evaluation mode an earlier, frozen part gives the output
        return True
    return any(g is None for g in torch.autograd.grad(output.sum(), parameters, allow_unused=True))
