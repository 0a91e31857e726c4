"""LoRA."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.adapters.adapted_linear import AdaptedLinear
from strategies.adapters.adapted_network import AdaptedNetwork
from strategies.adapters.adapter_options import AdapterOptions
from strategies.adapters.low_rank import (
    LowRankLinear,
    adapt,
    add_adapter,
    frozen_names,
    layers_with_adapters,
    restore_adapter,
    stored_targets,
    target_names,
)
from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED
from strategies.api.strategy import Strategy
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.seeded_random import integer
from strategies.networks.output_layer import head_name, stored_head
from strategies.networks.separate_tasks import SeparateTasks, TaskOptions

_STREAM = "stream"
"""The name of the one adapter of a stream."""


class LoRAOptions(TaskOptions, AdapterOptions):
    """Options of `lora`; `infer_task` and `exposure` are for an adapter per experience."""

    per: Annotated[Literal["stream", "experience"], LEARNED] = Field(
        default="stream",
        json_schema_extra={"fixed": True},
        description=(
            "stream: one adapter, which all experiences train, and which forgets as a model does. experience: an "
            "adapter and a head for each, chosen by the task label, which never change again."
        ),
    )


class LoRA(Strategy):
    """LoRA: Hu et al. 2021, LoRA: low-rank adaptation of large language models, section 4.1.

    The model is frozen. To each of its linear layers W is added a product of two small trainable matrices,
    h = W x + (alpha / r) B A x, with B = 0 at first. Only these matrices and the head learn, and a commit holds only
    these and their optimiser state: the frozen model is stored once. Use it with a model that starts from trained
    weights.

    With objective: next-token the head is pretrained, too, and stays frozen.

    With `per: stream` one adapter learns the whole stream, and forgets as any model does: add {name: replay},
    {name: ewc} or {name: lwf}, which then work on the adapter and the head alone. With `per: experience` each
    experience gets an adapter and a head of its own, and nothing is forgotten where task labels are given.
    """

    name = "lora"
    family = "adapters"
    summary = "Low-rank adapters in a frozen, pretrained model: one for the stream, or one per experience"
    paper = "Hu et al. 2021, LoRA: low-rank adaptation of large language models"
    guide = Guide(
        time="a forward and backward pass through the frozen model, and updates of the adapter alone",
        memory="an adapter: a few percent of the model",
        use_when="the model starts from trained weights; with replay where nothing tells the task",
    )
    adapts_model = True
    learns_from_blocks = True
    learns_sharded = True
    Options = LoRAOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {"head": Reduction.GLOBAL}
    adapters: ClassVar[type[AdaptedLinear]] = LowRankLinear

    options: LoRAOptions

    def __init__(self, options: LoRAOptions | None = None) -> None:
        super().__init__(options)
        self._head = ""

    @classmethod
    def variant(cls, options: Any) -> type[Strategy]:
        return LoRAPerExperience if options.per == "experience" else cls

    def dimensions(self) -> tuple[float, int]:
        """The factor of what an adapter adds, and its size."""
        return self.options.alpha, self.options.rank

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Freeze the model, except its head, and put the adapter in, before the first experience."""
        model = learner.model
        if next(layers_with_adapters(model), None) is not None:
            return
        head, targets = adapted_parts(learner, self.options.targets, self.name)
        self._head = "" if learner.objective.targets == "tokens" else head  # there the head is pretrained, too
        alpha, size = self.dimensions()
        adapt(model, targets, alpha, self._head, self.adapters)
        add_adapter(model, _STREAM, size, integer(learner.seed, self.name))

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        if not any(f".{self.adapters.parts[0]}." in name for name in state):
            return model
        if next(layers_with_adapters(model), None) is None:
            adapt(model, stored_targets(model, state, self.adapters), self.dimensions()[0], self._head, self.adapters)
            restore_adapter(model, _STREAM, state)
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        if next(layers_with_adapters(model), None) is None:
            return {}
        return {"base": frozen_names(model)}

    def state_dict(self) -> dict[str, Tensor]:
        return {f"head.{self._head}": torch.ones(())} if self._head else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._head = next((name.removeprefix("head.") for name in state), "")


class LoRAPerExperience(SeparateTasks):
    """`lora` with an adapter and a head for each experience."""

    name = LoRA.name
    family = LoRA.family
    summary = LoRA.summary
    paper = LoRA.paper
    guide = LoRA.guide
    independent_parts = True
    Options = LoRAOptions
    adapters: ClassVar[type[AdaptedLinear]] = LowRankLinear

    options: LoRAOptions

    def dimensions(self) -> tuple[float, int]:
        """As `LoRA.dimensions`."""
        return self.options.alpha, self.options.rank

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Add an adapter and a head; the first experience turns the model into an `AdaptedNetwork`."""
        network = learner.model
        if not isinstance(network, AdaptedNetwork):
            head, targets = adapted_parts(learner, self.options.targets, self.name)
            network = AdaptedNetwork(network, head, targets, self.dimensions()[0], self.adapters)
        units = self.task_units(learner, experience)
        seed = integer(learner.seed, self.name, experience.index)
        network.add_task(units, experience.index, self.dimensions()[1], seed)
        network.infer = self.options.infer_task
        learner.model = network.to(learner.device)

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        if not any(name.startswith("heads.") for name in state):
            return model
        if not isinstance(model, AdaptedNetwork):
            stored = {name.removeprefix("body.") for name in state}
            head = stored_head(model, lambda name: f"{name}.weight" in stored or f"{name}.base_layer.weight" in stored)
            body = {name.removeprefix("body."): tensor for name, tensor in state.items()}
            targets = stored_targets(model, body, self.adapters)
            model = AdaptedNetwork(model, head, targets, self.dimensions()[0], self.adapters)
        model.restore_tasks(state)
        model.infer = self.options.infer_task
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        if not isinstance(model, AdaptedNetwork):
            return {}
        return {"base": frozen_names(model.body, "body."), **model.task_parts()}


def adapted_parts(learner: Learner, targets: Sequence[str], who: str) -> tuple[str, list[str]]:
    """The names of the model's head, and of the layers that get adapters.

    Where tokens are predicted, the head is the last linear layer with a unit for each, and there may be none: '' then.

    Args:
        targets, who: as in `target_names`.
    """
    model = learner.model
    if learner.objective.targets == "tokens":
        wide = (n for n, m in model.named_modules() if isinstance(m, nn.Linear) and m.out_features >= learner.outputs)
        head = max(wide, key=[name for name, _ in model.named_modules()].index, default="")
    else:
        with learner.evaluating(), torch.no_grad():
            head = head_name(model, learner.example(), who)
    return head, target_names(model, targets, head, who)
