"""A low-rank expert for each experience, behind a router."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.adapters.adapter_options import AdapterOptions
from strategies.adapters.experts_network import ExpertsNetwork
from strategies.adapters.low_rank import frozen_names, stored_targets
from strategies.api.data import Experience
from strategies.api.guide import Guide, Limit
from strategies.api.influence import LEARNED
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import integer
from strategies.methods.lora import adapted_parts
from strategies.networks.feature_sums import feature_sums
from strategies.networks.output_layer import stored_head
from strategies.networks.separate_tasks import SeparateTasks


class ExpertsOptions(AdapterOptions):
    """Options of `experts`, beside those of its adapters."""

    top_k: Annotated[int, LEARNED] = Field(
        default=1,
        ge=1,
        description="Experts that a sample passes through: those that the router finds likeliest.",
    )

    @property
    def infer_task(self) -> bool:
        """The router infers the task of a sample."""
        return True

    @property
    def exposure(self) -> float:
        """Samples of the past that another strategy adds have no weight."""
        return 0.0


class Experts(SeparateTasks):
    """Experts: an adapter and a head for each experience, chosen for each sample by a router over frozen features.

    As in Aljundi et al. 2017, Expert Gate: lifelong learning with a network of experts. The experts are low-rank
    adapters (Hu et al. 2021), and the gate is linear discriminant analysis of the frozen model's features (Hayes &
    Kanan 2020) instead of autoencoders: p(unit | x) = sum_e p(e | x) p_e(unit | x). An expert never changes after its
    experience. The router's means and covariance are sums over all samples so far, so that the router equals one fitted
    on all data at once: a further experience costs accuracy only because there are more experts to choose from. With
    more than 76 features the covariance of each experience is approximated at low rank, in 24 kB of its commit. No task
    label is needed and no data is kept. A sample passes through the frozen model and `top_k` experts.
    """

    name = "experts"
    family = "adapters"
    summary = "A low-rank adapter and a head for each experience, chosen by a router over frozen features"
    paper = "Aljundi et al. 2017, Expert Gate: lifelong learning with a network of experts; Hu et al. 2021"
    guide = Guide(
        time="as lora; to predict, a pass through the frozen model and one through each chosen expert",
        memory="an adapter, a head, class means and a low-rank covariance for each experience",
        use_when="the model starts from trained weights, nothing tells the task, and no data may be kept",
    )
    adds_parts = True
    independent_parts = True
    freezes_answers = False
    needs_task_labels = False
    objectives = ("classification",)  # type: ignore[assignment]
    limits: ClassVar[Mapping[str, Limit]] = {}
    Options = ExpertsOptions  # type: ignore[assignment]

    options: ExpertsOptions  # type: ignore[assignment]

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Add an expert; the first experience turns the model into an `ExpertsNetwork`."""
        network, options = learner.model, self.options
        if not isinstance(network, ExpertsNetwork):
            head, targets = adapted_parts(learner, options.targets, self.name)
            network = ExpertsNetwork(network, head, targets, options.alpha, options.top_k)
        network.top_k = options.top_k
        units = self.task_units(learner, experience)
        network.add_task(units, experience.index, options.rank, integer(learner.seed, "experts", experience.index))
        learner.model = network.to(learner.device)

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Add the experience's classes to the router."""
        network = learner.model
        assert isinstance(network, ExpertsNetwork)
        found = feature_sums(learner, network.features)
        network.router.add(found["sums"], found["counts"], found["products"])

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        if not any(name.startswith("heads.") for name in state):
            return model
        if not isinstance(model, ExpertsNetwork):
            stored = {name.removeprefix("body.") for name in state}
            head = stored_head(model, lambda name: f"{name}.weight" in stored or f"{name}.base_layer.weight" in stored)
            body = {name.removeprefix("body."): tensor for name, tensor in state.items()}
            targets = stored_targets(model, body)
            model = ExpertsNetwork(model, head, targets, self.options.alpha, self.options.top_k)
        model.restore_tasks(state)
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        if not isinstance(model, ExpertsNetwork):
            return {}
        return {"base": frozen_names(model.body, "body."), **model.task_parts()}

    def task_labels(self, experience: Experience) -> Literal["given", "inferred"] | None:
        return None


def routing_accuracy(learner: Learner, experiences: Sequence[Experience]) -> float:
    """The share of the experiences' test samples whose likeliest expert is that of their own experience."""
    network = learner.model
    assert isinstance(network, ExpertsNetwork)
    right = total = 0
    with learner.evaluating(), torch.no_grad():
        for experience in experiences:
            test = experience.test
            for inputs, _ in test.batches(torch.arange(len(test)).split(500)):
                chosen = network.router(network.features(learner.prepare(inputs))).argmax(1)
                right += int((chosen == network.position(experience.index)).sum())
            total += len(test)
    return right / total
