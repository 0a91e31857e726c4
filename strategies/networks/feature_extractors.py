"""A network whose features grow: several extractors under one head."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from strategies.networks.output_layer import take_off
from strategies.networks.reinitialize import drawn, learned_parameters, redrawn
from strategies.networks.stored_structure import require, stored_count


class Extractors(nn.Module):
    """Feature extractors of one architecture under one linear head.

    The head over the concatenated features is held as a block for each extractor: W [f_0, f_1, ...] + b =
    W_0 f_0 + b + W_1 f_1 + ..., so that no tensor changes its shape when the network grows.

    Attributes:
        extractors: oldest first; the first is the model without its head.
        heads: the blocks, (outputs, d) each; the first has the bias.
        auxiliary: a head on the newest extractor's features alone, while that is learned beside others.
        growing: 0-dim bool: whether the newest extractor is being learned; the others are frozen.
        newest: the newest extractor's features, (n, d), of the last forward pass in training with `auxiliary`.
    """

    growing: Tensor

    def __init__(self, model: nn.Module, head: str) -> None:
        """
        Args:
            model: is changed: its head is taken off.
            head: name of the layer that makes its output.
        """
        super().__init__()
        body, last = take_off(model, head)
        self.extractors = nn.ModuleList([body])
        self.heads = nn.ModuleList([last])
        self.auxiliary: nn.Linear | None = None
        self.register_buffer("growing", torch.tensor(True))
        self.newest: Tensor | None = None
        self._learned = learned_parameters(body)
        self._linear = partial(nn.Linear, last.in_features, dtype=last.weight.dtype)
        self._outputs = last.out_features

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *shape) to (n, outputs)."""
        features = inputs
        output: Tensor | None = None
        for extractor, head in zip(self.extractors, self.heads, strict=True):
            features = extractor(inputs)
            part: Tensor = head(features)
            output = part if output is None else output + part
        assert output is not None
        self.newest = features if self.training and self.auxiliary is not None else None
        return output

    def grow(self, units: int, seed: int, who: str) -> None:
        """A further extractor, its weights drawn from `seed`, and an auxiliary head for `units` and all others.

        Its block of the head begins with 0, so that growing alone changes no output.

        Raises:
            StrategyError: the model cannot be copied.
        """
        device = self.growing.device
        extractor = redrawn(self.extractors[0], self._learned, seed, who)
        self._append(extractor, self._block())
        self.auxiliary = drawn(lambda: self._linear(units + 1), seed + 1)
        self.to(device)
        self.freeze(growing=True)

    def freeze(self, *, growing: bool) -> None:
        """Freeze all extractors and drop the auxiliary head; with `growing`, not the newest one and that head."""
        self.growing.fill_(growing)
        self.extractors.requires_grad_(False)
        if growing:
            for name, parameter in self.extractors[-1].named_parameters():
                parameter.requires_grad_(name in self._learned)
        else:
            self.auxiliary = None
        self.train(self.training)

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take the structure of a stored state that has as many extractors or more. Raises ValueError."""
        count = stored_count(state, "extractors")
        for k in range(len(self.extractors), count):
            with torch.device("meta"):
                require(state, f"heads.{k}.", self._block())
            require(state, f"extractors.{k}.", self.extractors[0])
            self._append(copy.deepcopy(self.extractors[0]), self._block())
        growing, auxiliary = state.get("growing"), state.get("auxiliary.weight")
        if growing is None or growing.dtype != torch.bool or growing.dim():
            raise ValueError("it does not say whether its extractors are frozen")
        self.freeze(growing=bool(growing))
        self.auxiliary = None
        if auxiliary is not None:
            if auxiliary.dim() != 2 or not 2 <= len(auxiliary) <= self._outputs + 1:
                raise ValueError(f"auxiliary.weight has shape {list(auxiliary.shape)}")
            self.auxiliary = self._linear(len(auxiliary))

    def train(self, mode: bool = True) -> Extractors:
        """Training mode; frozen extractors stay in evaluation mode."""
        super().train(mode)
        last = len(self.extractors) - 1
        for k, extractor in enumerate(self.extractors):
            if k < last or not self.growing:
                extractor.train(False)
        return self

    def _block(self) -> nn.Linear:
        block: nn.Linear = self._linear(self._outputs, bias=False)
        nn.init.zeros_(block.weight)
        return block

    def _append(self, extractor: nn.Module, block: nn.Linear) -> None:
        self.extractors.append(extractor)
        self.heads.append(block)
