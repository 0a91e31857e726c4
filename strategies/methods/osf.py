"""Orthogonal subspace fine-tuning."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.adapters.low_rank import ALL, freeze_but_head, target_names
from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.methods.lora import adapted_parts
from strategies.projection.subspace_linear import decompose, merge, restore_subspace, stored_subspaces, subspace_layers


class OSFOptions(StrategyOptions):
    """Options of `osf`."""

    preserve: Annotated[float, LEARNED] = Field(
        default=0.5,
        gt=0,
        lt=1,
        description=(
            "Share of each layer's directions, those with the largest singular values, that an experience leaves as "
            "they are; raise it with the experiences by train.per_experience."
        ),
    )
    targets: Annotated[tuple[str, ...], LEARNED] = Field(
        default=(ALL,),
        min_length=1,
        json_schema_extra={"fixed": True},
        description=(
            "Names of the linear layers that learn, or the ends of their names, such as [query, value]; "
            f"{ALL}: all but the head, which learns as it is."
        ),
    )


class OSF(Strategy):
    """OSF: Nayak et al. 2025, Sculpting subspaces: constrained full fine-tuning in LLMs, section 3.

    Before each experience the weights of a layer are decomposed, W = U S V, and split: the directions with the largest
    singular values, which hold what was learned so far, are frozen, and U_low, S_low and V_low of the others learn.
    Their gradients are projected, dU <- dU - U_high U_high^T dU and dV <- dV - dV V_high^T V_high, so that the update
    is orthogonal to what is frozen. The same projection is applied to U_low and V_low after each step, because an
    optimiser such as Adam scales each number by itself: W keeps its frozen directions exactly.

    After the experience the product is put back as the layer's weights, so that a commit holds a plain model of the
    same size and speed. The optimiser's state is reset, because each experience has other directions.
    Everything but these layers, their biases and the head is frozen. No data is kept.
    """

    name = "osf"
    family = "projection"
    summary = "Full fine-tuning of a pretrained model, orthogonal to its strongest directions (no data kept)"
    paper = "Nayak et al. 2025, Sculpting subspaces: constrained full fine-tuning in LLMs for continual learning"
    guide = Guide(
        time="a decomposition of each layer before an experience, and a product of two matrices each step",
        memory="nothing more in a commit; while learning, each adapted layer twice more",
        use_when="a pretrained model should learn with more than an adapter, and no data may be kept",
    )
    freezes_features = True
    needs_rehearsal_on_shared_head = True
    learns_from_blocks = True
    Options = OSFOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {"head": Reduction.GLOBAL}

    options: OSFOptions

    def __init__(self, options: OSFOptions | None = None) -> None:
        super().__init__(options)
        self._head: str | None = None
        self._paused: list[nn.Parameter] = []

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Decompose the layers, and freeze the rest of the model but its head."""
        model = learner.model
        self._head, targets = adapted_parts(learner, self.options.targets, self.name)
        if learner.objective.targets == "tokens":
            self._head = ""  # there the head is pretrained, too
        learned = [name for name in targets if model.get_parameter(f"{name}.weight").requires_grad]
        self._pause(model)
        for name in learned:
            decompose(model, name, self.options.preserve, learner.group)
        learner.reset_optimizer()

    def after_backward(self, learner: Learner) -> None:
        for _, layer in subspace_layers(learner.model):
            layer.project_gradients()

    def after_step(self, learner: Learner) -> None:
        for _, layer in subspace_layers(learner.model):
            layer.project_weights()

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Put the learned weights back into plain layers."""
        merge(learner.model)
        for parameter in self._paused:
            parameter.requires_grad_(True)
        self._paused = []
        learner.reset_optimizer()

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        merge(model)
        names = stored_subspaces(state)
        if names:
            self._pause(model)
            for name in names:
                restore_subspace(model, name, state)
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        if self._head is None:
            return {}
        plain = [name for name, layer in model.named_modules() if type(layer) is nn.Linear]
        decomposed = [name for name, _ in subspace_layers(model)]
        if not decomposed:
            decomposed = target_names(model, self.options.targets, self._head, self.name) if plain else []
        learned = {f"{name}.{part}" for name in decomposed for part in ("weight", "bias", "U_low", "S_low", "V_low")}
        head = {f"{self._head}.{part}" for part in ("weight", "bias")} if self._head else set()
        return {"base": frozenset(name for name, _ in model.named_parameters() if name not in learned | head)}

    def state_dict(self) -> dict[str, Tensor]:
        return {f"head.{self._head}": torch.ones(())} if self._head is not None else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._head = next((name.removeprefix("head.") for name in state), None)

    def _pause(self, model: nn.Module) -> None:
        """Freeze the model but its head, until the experience is over."""
        before = [p for p in model.parameters() if p.requires_grad]
        freeze_but_head(model, self._head or "")
        self._paused = [p for p in before if not p.requires_grad]
