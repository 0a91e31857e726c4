"""A learner whose ranks share out weights, gradients and the optimiser's state while an experience is learned."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from strategies.api.compatibility import Listed, shard_refusal
from strategies.api.data import Experience
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.kept_optimizer import KeptOptimizer
from strategies.loop.learner import Learner
from strategies.loop.sharded_model import ShardedModel, part_here, part_of, whole
from strategies.loop.step_report import Listener
from strategies.loop.train_settings import OPTIMIZERS, TrainSettings


class ShardedLearner(Learner):
    """As `Learner`, within float tolerance, with less memory for each rank.

    From the first step of an experience to its last, each rank holds its part of the parameters, of their gradients
    and of the optimiser's state. Layers are gathered when they are used. Before and after, every rank holds the
    whole model, and the optimiser's state in main memory, so that strategies, evaluation and commits are not affected.
    `state_dict` is whole at any time, and all ranks have to call it together.
    """

    def __init__(self, model: nn.Module, strategies: Sequence[Strategy], **arguments: Any) -> None:
        """
        Args:
            arguments: as `Learner` takes them.

        Raises:
            StrategyError: as `Learner`, or a strategy that needs whole parameters in its steps.
        """
        refused = [shard_refusal(Listed(type(s), s.options)) for s in strategies]
        if any(refused):
            raise StrategyError("\n".join(reason for reason in refused if reason is not None))
        super().__init__(model, strategies, **arguments)
        self._optimizer = self._shared_optimizer = ShardedOptimizer()
        self._sharded: ShardedModel | None = None

    def steps(
        self,
        experience: Experience,
        settings: TrainSettings,
        *,
        past: Sequence[Experience] = (),
        listener: Listener | None = None,
        start: int = 0,
    ) -> Iterator[int]:
        yield from super().steps(experience, settings, past=past, listener=listener, start=start)
        assert self._sharded is not None
        self._shared_optimizer.gather(self.model)
        self.model, self._sharded = self._sharded.put_together(), None

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """As `Learner.state_dict`: whole tensors, in main memory where the ranks have shared them out."""
        if self._sharded is None:
            return super().state_dict()
        self._sharded.reshard()
        return {part: {name: _gathered(t) for name, t in named.items()} for part, named in super().state_dict().items()}

    def held(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, dict[str, Tensor]]]:
        """In an experience: what `state_dict` says that every rank holds, and this rank's rows of what is shared out.

        Both by group and name. The rows of all ranks, one rank's behind the other's, are the tensors.
        """
        assert self._sharded is not None
        self._sharded.reshard()
        whole: dict[str, dict[str, Tensor]] = {}
        rows: dict[str, dict[str, Tensor]] = {}
        for part, named in super().state_dict().items():
            whole[part] = {name: tensor for name, tensor in named.items() if part_here(tensor) is None}
            here = ((name, part_here(tensor)) for name, tensor in named.items())
            rows[part] = {name: tensor for name, tensor in here if tensor is not None}
        return whole, {part: named for part, named in rows.items() if named}

    def _trained(self) -> nn.Module:
        self._sharded = ShardedModel(self.model, self.device)
        self.model = self._sharded.module
        return self.model


class ShardedOptimizer(KeptOptimizer):
    """An optimiser of parameters that the ranks have shared out.

    All of `OPTIMIZERS` update each element of a parameter independently, so that a rank needs only its own part.
    """

    def prepare(self, model: nn.Module, settings: TrainSettings, *, keep: bool) -> Optimizer:
        if "fused" in inspect.signature(OPTIMIZERS[settings.optimizer]).parameters:
            # torch's fused kernels of SGD and Adagrad do not know such parameters.
            settings = replace(settings, optimizer_options={**settings.optimizer_options, "fused": False})
        optimizer = super().prepare(model, settings, keep=keep)
        for parameter, slots in optimizer.state.items():
            for slot, value in slots.items():
                if isinstance(value, Tensor):
                    slots[slot] = part_of(value, parameter)
        return optimizer

    def gather(self, model: nn.Module) -> None:
        """Gather the state in main memory, on every rank, and drop the optimiser."""
        self.load({name: _gathered(tensor) for name, tensor in self.state(model).items()}, self._name)


def _gathered(tensor: Tensor) -> Tensor:
    together = whole(tensor.detach())
    return together if together is tensor else together.cpu()
