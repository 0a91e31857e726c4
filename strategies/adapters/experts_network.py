"""A frozen model with an adapter and a head for each experience, and a router that chooses among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from strategies.adapters.adapted_network import AdaptedNetwork
from strategies.adapters.low_rank import without_adapters
from strategies.adapters.router import Router, stored_router


class ExpertsNetwork(AdaptedNetwork):
    """In training the newest expert; else the experts that the router chooses for each sample.

    Attributes:
        router: from the frozen model's features to the experiences.
        top_k: experts that a sample passes through.
    """

    def __init__(self, model: nn.Module, head: str, targets: Sequence[str], alpha: float, top_k: int) -> None:
        """See `AdaptedNetwork`."""
        last = model.get_submodule(head)
        assert isinstance(last, nn.Linear)
        super().__init__(model, head, targets, alpha)
        self.width = last.in_features
        self.router = Router(self.width)
        self.top_k = top_k

    def features(self, inputs: Tensor) -> Tensor:
        """What the frozen model gives, (n, d), without adapters."""
        with without_adapters(self.body):
            found: Tensor = self.body(inputs)
        return found

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *shape) to (n, outputs): log p(unit) = log sum_e p(e) p_e(unit), with the router's p(e).

        An expert that a sample does not pass through gives all of its units the same probability. Units that no expert
        has are at -inf.
        """
        if self.training or self.chosen is not None or not len(self.router.parts):
            return super().forward(inputs)
        log_router = self.router(self.features(inputs))
        known = log_router.shape[1]
        chosen = log_router.topk(min(self.top_k, known), 1).indices
        scores = log_router.new_full((inputs.shape[0], self.outputs), -torch.inf)
        for expert in range(known):
            units = self.head(expert).units
            own = log_router.new_full((inputs.shape[0], len(units)), -math.log(len(units)))
            passes = (chosen == expert).any(1)
            if torch.compiler.is_exporting():
                # An exported graph cannot choose rows by value: all rows pass, and unused outputs are masked.
                logits = self.answers(inputs, [expert])[0]
                own = torch.where(passes[:, None], logits.double().log_softmax(1), own)
            elif len(rows := passes.nonzero().squeeze(1)):
                logits = self.answers(inputs[rows], [expert])[0]
                own = own.index_copy(0, rows, logits.double().log_softmax(1))
            mixed = torch.logaddexp(scores.index_select(1, units), log_router[:, expert, None] + own)
            scores = scores.index_copy(1, units, mixed)
        found: Tensor = scores.to(next(self.heads.parameters()).dtype)
        return found

    def task_parts(self) -> dict[str, frozenset[str]]:
        """See `AdaptedNetwork`; with what the experience told the router."""
        names = list(self.state_dict())
        return {
            part: own | {name for name in names if name.startswith(f"router.parts.{part.removeprefix('adapter.')}.")}
            for part, own in super().task_parts().items()
        }

    def restore_tasks(self, state: Mapping[str, Tensor]) -> None:
        """See `AdaptedNetwork`; also makes the router as large as the stored one."""
        super().restore_tasks(state)
        stored = {name.removeprefix("router."): tensor for name, tensor in state.items() if name.startswith("router.")}
        self.router = stored_router(stored, self.width, len(self.heads))
