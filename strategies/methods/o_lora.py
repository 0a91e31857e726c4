"""Orthogonal LoRA."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.adapters.adapter_options import AdapterOptions
from strategies.adapters.low_rank import (
    activate,
    adapt,
    adapted_layers,
    add_adapter,
    frozen_names,
    restore_adapter,
    stored_adapters,
    stored_targets,
)
from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import Influence
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import integer
from strategies.methods.lora import LoRA, adapted_parts


class OLoRAOptions(AdapterOptions):
    """Options of `o-lora`."""

    orthogonality: Annotated[float, Influence(experience=1)] = Field(
        default=0.5,
        ge=0,
        allow_inf_nan=False,
        description=(
            "Weight of the sum of the squared products of the new adapter's rows of A with those of the earlier ones, "
            "which is added to the loss."
        ),
    )


class OLoRA(LoRA):
    """O-LoRA: Wang et al. 2023, Orthogonal subspace learning for language model continual learning, equations 6 to 8.

    Each experience adds an adapter to those before it, which are frozen: a layer is W + (alpha / r) sum_i B_i A_i. The
    new adapter learns in directions that the earlier adapters do not use: with L = sum over i < t of |A_i A_t^T|^2 the
    loss is that of the objective + orthogonality * L. No data is kept, and no task label is used. The head is the one
    of the model, which all experiences train (where tokens are predicted it is frozen, as in the paper).
    """

    name = "o-lora"
    summary = "A low-rank adapter for each experience, orthogonal to the earlier ones, all added up (no data kept)"
    paper = "Wang et al. 2023, Orthogonal subspace learning for language model continual learning"
    guide = Guide(
        time="a forward and backward pass through the frozen model and all adapters",
        memory="an adapter for each experience: a few percent of the model",
        use_when="no data may be kept and the model starts from trained weights; with replay on one shared head",
    )
    adds_parts = True
    needs_rehearsal_on_shared_head = True
    learns_sharded = False
    Options = OLoRAOptions  # type: ignore[assignment]

    options: OLoRAOptions  # type: ignore[assignment]

    @classmethod
    def variant(cls, options: Any) -> type[Strategy]:
        return cls

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Add an adapter; before the first experience, freeze the model except its head."""
        model, options = learner.model, self.options
        if next(adapted_layers(model), None) is None:
            head, targets = adapted_parts(learner, options.targets, self.name)
            self._head = "" if learner.objective.targets == "tokens" else head
            adapt(model, targets, options.alpha, self._head)
        add_adapter(model, str(experience.index), options.rank, integer(learner.seed, "o-lora", experience.index))
        activate(model, *_adapters(model))
        model.to(learner.device)

    @torch.no_grad()
    def after_backward(self, learner: Learner) -> None:
        """Add the gradient of the penalty, 2 * orthogonality * sum_i (A_t A_i^T) A_i."""
        weight = self.options.orthogonality
        for _, layer in adapted_layers(learner.model) if weight else ():
            *earlier, newest = (matrix.weight for matrix in layer.lora_A.values())
            if earlier and newest.grad is not None:
                before = torch.cat(earlier)  # type: ignore[arg-type]
                newest.grad.addmm_(newest @ before.T, before, alpha=2 * weight)  # type: ignore[operator]

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        names = sorted(stored_adapters(state), key=int)  # 10 behind 9
        if not names:
            return model
        if next(adapted_layers(model), None) is None:
            adapt(model, stored_targets(model, state), self.options.alpha, self._head)
        for name in names[len(_adapters(model)) :]:
            restore_adapter(model, name, state)
        activate(model, *_adapters(model))
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        if next(adapted_layers(model), None) is None:
            return {}
        parts: dict[str, Collection[str]] = {"base": frozen_names(model)}
        names = list(model.state_dict())
        for adapter in _adapters(model):
            marks = (f".lora_A.{adapter}.", f".lora_B.{adapter}.")
            parts[f"adapter.{adapter}"] = frozenset(n for n in names if any(mark in n for mark in marks))
        return parts


@torch.no_grad()
def orthogonality(model: nn.Module) -> float:
    """The sum over the layers of |A_i A_t^T|^2 of the newest adapter t with all earlier ones i."""
    total = 0.0
    for _, layer in adapted_layers(model):
        *earlier, newest = (matrix.weight for matrix in layer.lora_A.values())
        before = [newest @ one.T for one in earlier]  # type: ignore[operator]
        total += sum(float(products.square().sum()) for products in before)
    return total


def _adapters(model: nn.Module) -> list[str]:
    _, layer = next(adapted_layers(model))
    return list(layer.lora_A)
