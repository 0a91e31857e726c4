"""The optimiser from one experience to the next: a new object for each experience, with the state carried over."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from strategies.loop.train_settings import (
    TrainSettings,
    keeps_gradients,
    load_optimizer_state,
    make_optimizer,
    optimizer_state,
)


class KeptOptimizer:
    """An optimiser whose state outlasts the experience that it was made for."""

    def __init__(self) -> None:
        self._optimizer: Optimizer | None = None
        self._name = ""
        self._loaded: Mapping[str, Tensor] = {}

    def prepare(self, model: nn.Module, settings: TrainSettings, *, keep: bool) -> Optimizer:
        """The optimiser of an experience.

        Args:
            keep: take over the state so far, where the optimiser is of the same kind.
        """
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        state = self.state(model)
        self._optimizer = make_optimizer(settings, parameters.values())
        if keep and self._name == settings.optimizer:
            known = {k: v for k, v in state.items() if k.rpartition("/")[0] in parameters}
            load_optimizer_state(self._optimizer, parameters, known)
        self._name, self._loaded = settings.optimizer, {}
        return self._optimizer

    @property
    def keeps_gradients(self) -> bool:
        """Whether a step leaves the gradients as they were."""
        return self._optimizer is None or keeps_gradients(self._optimizer)

    def reset(self) -> None:
        """Drop the state; the next `prepare` starts with an empty one."""
        self._optimizer, self._loaded = None, {}

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """The state by the names of the model's parameters."""
        if self._optimizer is None:
            return dict(self._loaded)
        return optimizer_state(self._optimizer, {p: n for n, p in model.named_parameters()})

    def load(self, state: Mapping[str, Tensor], name: str) -> None:
        """Take over what `state` returned for the optimiser called `name`, at the next `prepare`."""
        self._optimizer, self._name, self._loaded = None, name, dict(state)
