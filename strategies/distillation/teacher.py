"""The teacher of distillation: a frozen copy of a model."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from strategies.loop.learner import Learner


class Teacher:
    """A copy of the learner's model, in evaluation mode, without gradients.

    Its truth value is False while there is no copy: before the first experience ends.
    """

    def __init__(self) -> None:
        self._model: nn.Module | None = None
        self._state: dict[str, Tensor] = {}

    def __bool__(self) -> bool:
        return self._model is not None or bool(self._state)

    def take(self, model: nn.Module) -> None:
        """Copy `model` as it is now."""
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._state = {}

    @torch.no_grad()
    def __call__(self, learner: Learner, inputs: Tensor) -> Tensor:
        """The copy's output, (n, outputs), on prepared inputs."""
        if self._model is None:
            self._model = copy.deepcopy(learner.model).eval().requires_grad_(False)
            self._model.load_state_dict(self._state)
            self._state = {}
        if not len(inputs):  # a share without samples: not every model can run on nothing
            return torch.zeros(0, learner.outputs, device=inputs.device)
        output: Tensor = self._model(inputs)
        return output

    def state_dict(self) -> dict[str, Tensor]:
        """Tensors by `teacher.<name in the model>`."""
        state = self._state if self._model is None else self._model.state_dict()
        return {f"teacher.{name}": tensor for name, tensor in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned."""
        self._model = None
        self._state = {n.removeprefix("teacher."): t for n, t in state.items() if n.startswith("teacher.")}
