"""Connections from the layers of earlier columns into the same layer of a later one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from strategies.api.strategy_errors import StrategyError
from strategies.networks.output_layer import put

CONNECTED = (nn.Linear, nn.Conv2d)


class Lateral(nn.Module):
    """The adapter of Rusu et al. 2016, section 2: what it adds to a layer's output before the nonlinearity.

    U relu(V (alpha_1 h_1, ..., alpha_k h_k)), where h_j enters the same layer of column j, alpha_j is a learned scalar,
    V projects their concatenation to as many dimensions as the smaller side of the layer has, and U has the layer's own
    form: linear, or a convolution of its geometry behind a V of 1x1. No biases.
    """

    def __init__(self, layer: nn.Module, columns: int) -> None:
        """
        Args:
            layer: a torch.nn.Linear or Conv2d of the receiving column.
            columns: number of earlier columns.
        """
        super().__init__()
        self.scale: nn.Parameter
        self.project: nn.Module
        self.adapt: nn.Module
        if isinstance(layer, nn.Linear):
            options: dict[str, Any] = {"bias": False, "dtype": layer.weight.dtype}
            width = min(layer.in_features, layer.out_features)
            self.project = nn.Linear(columns * layer.in_features, width, **options)
            self.adapt = nn.Linear(width, layer.out_features, **options)
            self._dim = -1
        else:
            assert isinstance(layer, nn.Conv2d)
            options = {"bias": False, "dtype": layer.weight.dtype}
            width = min(layer.in_channels, layer.out_channels)
            self.project = nn.Conv2d(columns * layer.in_channels, width, 1, **options)
            self.adapt = nn.Conv2d(
                width,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]
                stride=layer.stride,  # type: ignore[arg-type]
                padding=layer.padding,  # type: ignore[arg-type]
                dilation=layer.dilation,  # type: ignore[arg-type]
                padding_mode=layer.padding_mode,
                **options,
            )
            self._dim = 1
        # The paper: "initialised by a random small value".
        self.scale = nn.Parameter(torch.rand(columns, dtype=layer.weight.dtype) * 0.2)

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        """What entered the layer in each earlier column, to what is added to the layer's output."""
        scaled = [alpha * h for alpha, h in zip(self.scale, earlier, strict=True)]
        added: Tensor = self.adapt(F.relu(self.project(torch.cat(scaled, self._dim))))
        return added


class Connected(nn.Module):
    """A layer of a column that keeps its input, and adds the output of its lateral connection.

    Attributes:
        layer: the layer.
        lateral: None in the first column and for the first layer.
        earlier: for one forward pass, the inputs of the layer in the earlier columns.
        entered: the layer's input in the current forward pass.
    """

    def __init__(self, layer: nn.Module, lateral: Lateral | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.lateral = lateral
        self.earlier: list[Tensor] = []
        self.entered: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer's output, plus that of the lateral connection."""
        self.entered = inputs
        output: Tensor = self.layer(inputs)
        return output if self.lateral is None else output + self.lateral(self.earlier)

    def __getattr__(self, name: str) -> Any:
        """Attributes of the layer, because models may read `weight`, `in_features`, ..."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def connectable(body: nn.Module) -> dict[str, nn.Module]:
    """The layers of a body that lateral connections may connect, by name."""
    return {name: layer for name, layer in body.named_modules() if type(layer) in CONNECTED}


def called(body: nn.Module, inputs: Tensor, who: str) -> list[str]:
    """Those of the `connectable` layers that a forward pass calls, in their order.

    Raises:
        StrategyError: it calls a layer twice, so that the layer has no single input.
    """
    order: list[str] = []
    handles = [
        layer.register_forward_hook(lambda _, args, output, name=name: order.append(name))
        for name, layer in connectable(body).items()
    ]
    try:
        body(inputs)
    finally:
        for handle in handles:
            handle.remove()
    twice = sorted({name for name in order if order.count(name) > 1})
    if twice:
        raise StrategyError(
            f"{who} connects each layer with the same layer of earlier columns, and the model calls {twice[0]} more "
            "than once: give it a layer for each call"
        )
    return order


def connect(body: nn.Module, laterals: dict[str, Lateral]) -> nn.Module:
    """The body with each of its `connectable` layers in a `Connected`, changed in place."""
    for name, layer in connectable(body).items():
        body = put(body, name, Connected(layer, laterals.get(name)))
    return body


def connections(column: nn.Module) -> dict[str, Connected]:
    """The `Connected` layers of a column, by the layers' names."""
    return {name: layer for name, layer in column.named_modules() if isinstance(layer, Connected)}


def disconnected(column: nn.Module) -> nn.Module:
    """The body of a column, its layers as they were before `connect`, changed in place."""
    for name, layer in connections(column).items():
        column = put(column, name, layer.layer)
    return column
