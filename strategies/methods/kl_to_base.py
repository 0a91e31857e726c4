"""A penalty towards the pretrained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call

from strategies.adapters.low_rank import adapter_names, without_adapters
from strategies.api.data import Batch, Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction


class KLToBaseOptions(StrategyOptions):
    """Options of `kl-to-base`."""

    weight: Annotated[float, LEARNED] = Field(
        default=0.1, ge=0, allow_inf_nan=False, description="Weight of the mean distance from the base's outputs."
    )
    temperature: Annotated[float, LEARNED] = Field(
        default=1.0, gt=0, description="Temperature T of the softened outputs; the distance has the factor T^2."
    )


class KLToBase(Strategy):
    """KL to base: Jaques et al. 2017, Sequence tutor, equation 3; as in Ouyang et al. 2022, Training language models to
    follow instructions with human feedback, equation 2.

    weight * mean over the batch of D(base(x), model(x)) is added to the loss, where the base is the model as the stream
    found it and D the objective's distance: the divergence of the softmax, of the sigmoids or of each token's
    distribution, or the squared distance of numbers. The penalty keeps what the base model can do on the new data. No
    old data is kept.

    With {name: lora} the base is the model without its adapters, and only the original head is kept beside it. Without
    adapters a copy of all original weights is kept. A step costs one more forward pass.
    """

    name = "kl-to-base"
    family = "regularisation"
    summary = "Stay close to the outputs of the pretrained model on the new data (no data kept)"
    paper = "Jaques et al. 2017, Sequence tutor; Ouyang et al. 2022"
    guide = Guide(
        time="a forward pass of the model as it was each step",
        memory="the learned weights as they were: with lora the head alone",
        use_when="a pretrained language model should not lose what it can do",
    )
    needs_rehearsal_on_shared_head = True
    needs_fixed_structure = True
    learns_from_blocks = True
    Options = KLToBaseOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {"base": Reduction.GLOBAL}

    options: KLToBaseOptions

    def __init__(self, options: KLToBaseOptions | None = None) -> None:
        super().__init__(options)
        self._base: dict[str, Tensor] = {}

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Keep copies of the weights that will change, before the first experience."""
        if self._base:
            return
        model = learner.model
        own = adapter_names(model)
        kept = [(name, p.detach()) for name, p in model.named_parameters() if p.requires_grad and name not in own]
        kept += [(name, buffer) for name, buffer in model.named_buffers()]
        self._base = {name: tensor.clone() for name, tensor in kept}

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        weight = self.options.weight
        if not weight or not len(batch):
            return None
        model = learner.model
        with torch.no_grad(), learner.evaluating(), without_adapters(model):
            base: Tensor = functional_call(model, self._base, (batch.inputs,)).float()
        units = learner.units(learner.experience)
        if len(units) < learner.outputs:
            output, base = output[:, units], base[:, units]
        distance = learner.objective.distance(output, base.view_as(output), self.options.temperature)
        return distance.sum() * (weight / batch.total_samples)

    def state_dict(self) -> dict[str, Tensor]:
        return {f"base.{name}": tensor for name, tensor in self._base.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._base = {name.removeprefix("base."): tensor for name, tensor in state.items()}
