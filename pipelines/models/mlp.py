"""The multi-layer perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

Activation = Literal["relu", "tanh", "sigmoid", "gelu", "elu", "leaky-relu", "silu"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "leaky-relu": nn.LeakyReLU,
    "silu": nn.SiLU,
}


class MLP(nn.Module):
    """Fully connected layers on flattened inputs.

    Args:
        input_shape: shape of one input.
        outputs: units of the head.
        hidden: units of each hidden layer; an empty list makes a linear model.
        activation: activation function after each hidden layer.
        dropout: share of each hidden layer's outputs that is zeroed in training.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        hidden: Sequence[Annotated[int, Field(ge=1)]] = (400, 400),
        activation: Activation = "relu",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = math.prod(input_shape)
        for units in hidden:
            layers += [nn.Linear(width, units), _ACTIVATIONS[activation]()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = units
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) to (n, outputs)."""
        result: Tensor = self.head(self.body(inputs if inputs.is_floating_point() else inputs.float()))
        return result
