"""A model whose parameters the ranks share out while it trains, by PyTorch's `fully_shard` (FSDP2).

Zhao et al. 2023, PyTorch FSDP: experiences on scaling fully sharded data parallel.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError


class ShardedModel:
    """A copy of a model's modules, of whose parameters each rank holds a part; the model itself holds none meanwhile.

    Attributes:
        whole: the model; without weights until `put_together`.
        module: the copy, to train.
    """

    def __init__(self, whole: nn.Module, device: torch.device) -> None:
        """
        Args:
            whole: the same on every rank; stays on `device`.

        Raises:
            StrategyError: a model that cannot be shared out.
        """
        from torch.distributed.device_mesh import DeviceMesh
        from torch.distributed.fsdp import fully_shard

        kept = {id(tensor): tensor for tensor in [*whole.parameters(), *whole.buffers()]}
        self.whole, self.module = whole, copy.deepcopy(whole, kept)
        world = dist.group.WORLD
        assert world is not None
        mesh = DeviceMesh.from_group(world, device.type)
        try:
            for block in _blocks(self.module):
                fully_shard(block, mesh=mesh)
            fully_shard(self.module, mesh=mesh)
        except (NotImplementedError, ValueError) as error:
            raise StrategyError(f"scaling.shard: this model cannot be shared out: {error}; leave shard out") from error
        with torch.no_grad():
            for parameter in whole.parameters():
                parameter.data = parameter.data.new_empty(0)

    def reshard(self) -> None:
        """Free gathered parameters, also after a forward pass without a backward pass: ranks hold their parts only."""
        for module in self.module.modules():
            reshard: Any = getattr(module, "reshard", None)
            if reshard is not None:
                reshard()

    def put_together(self) -> nn.Module:
        """The model with what was learned, on every rank."""
        self.reshard()
        parameters = dict(self.whole.named_parameters())
        for name, parameter in self.module.named_parameters():
            parameters[name].data = whole(parameter.detach())
        for name, buffer in self.module.named_buffers():
            path, _, own = name.rpartition(".")
            self.whole.get_submodule(path)._buffers[own] = buffer
        return self.whole


def is_shared_out(model: nn.Module) -> bool:
    """Whether the ranks hold parts of a model's parameters."""
    return any(hasattr(parameter, "full_tensor") for parameter in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """A tensor that the ranks have shared out, put together on every rank; another one as it is."""
    together: Any = getattr(tensor, "full_tensor", None)
    return tensor if together is None else together()


def part_here(tensor: Tensor) -> Tensor | None:
    """This rank's rows of a tensor that the ranks have shared out, which may be none; None: it is not shared out."""
    local: Any = getattr(tensor, "to_local", None)
    return None if local is None else local()


def part_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This rank's part of `tensor`, shared out as `like` is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or isinstance(tensor, DTensor) or tensor.shape != like.shape:
        return tensor
    # Every rank has the whole tensor: no rank has to send it.
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def _blocks(model: nn.Module) -> Iterator[nn.Module]:
    """The layers that transformers says are to stay in one piece, outermost: gathered one at a time."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    return (module for module in model.modules() if type(module).__name__ in names and module is not model)
