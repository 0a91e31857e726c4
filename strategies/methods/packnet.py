"""PackNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.seeded_random import integer
from strategies.networks.output_layer import head_name, stored_head
from strategies.networks.packed_network import PackedNetwork
from strategies.networks.separate_tasks import SeparateTasks, TaskOptions


class PackNetOptions(TaskOptions):
    """Options of `packnet`, beside `infer_task`."""

    prune: Annotated[float, LEARNED] = Field(
        default=0.75,
        gt=0,
        lt=1,
        description=(
            "Share of the weights, among those that no earlier experience owns, that an experience leaves free for "
            "later ones. After k experiences, prune^k of the network is free."
        ),
    )
    retrain: Annotated[float, LEARNED] = Field(
        default=0.3,
        ge=0,
        lt=1,
        description="Share of an experience's steps, its last ones, that train the kept weights after pruning.",
    )


class PackNet(SeparateTasks):
    """PackNet: Mallya & Lazebnik 2018, PackNet: adding multiple tasks to a single network by iterative pruning.

    An experience trains the weights that are still free, beside those of earlier experiences, which stay fixed. After
    a share 1 - `retrain` of its steps, the share `prune` of these weights with the smallest magnitude in each layer is
    set to 0 and freed. The remaining steps train the weights that are kept, which then belong to the experience
    permanently. Each experience has its own head, which is not pruned. Biases, and parameters and running statistics of
    normalisation, are learned in the first experience and fixed from then on, as in the paper.

    For an experience's task, the weights of later experiences count as 0, so that its predictions never change. Frozen
    weights are restored after every step, because momentum and weight decay would move them. Owners of weights are
    stored as bits. Predicting T tasks takes T forward passes.
    """

    name = "packnet"
    summary = "Prune, freeze and reuse: each experience keeps its own share of the weights"
    paper = "Mallya & Lazebnik 2018, PackNet: adding multiple tasks to a single network by iterative pruning"
    guide = Guide(
        time="pruning, and retraining the remaining weights",
        memory="the owner of each weight",
        use_when="nothing at all may be forgotten, and the model must not grow",
    )
    Options = PackNetOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {}

    options: PackNetOptions

    def __init__(self, options: PackNetOptions | None = None) -> None:
        super().__init__(options)
        # Weights of which some are frozen; 1 where a weight learns, else 0; values of the frozen weights, else 0.
        self._held: list[tuple[nn.Parameter, Tensor, Tensor]] | None = None

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Add a head for the experience; the first experience turns the model into a `PackedNetwork`."""
        network = learner.model
        if not isinstance(network, PackedNetwork):
            with learner.evaluating(), torch.no_grad():
                network = PackedNetwork(network, head_name(network, learner.example(), self.name))
        units = self.task_units(learner, experience)
        network.add_task(units, experience.index, integer(learner.seed, "packnet head", experience.index))
        network.infer = self.options.infer_task
        learner.model = network.to(learner.device)
        self._held = None

    def after_backward(self, learner: Learner) -> None:
        """Only free weights learn; after pruning, only the experience's own."""
        if self._held is None:
            self._hold(learner)
        for weight, learning, _ in self._held or ():
            if weight.grad is not None:
                weight.grad.mul_(learning)

    @torch.no_grad()
    def after_step(self, learner: Learner) -> None:
        for weight, learning, before in self._held or ():
            torch.addcmul(before, weight, learning, out=weight)  # exact, and 15 times as fast as torch.where
        if learner.step + 1 == self._pruning(learner):
            _network(learner).prune(self.options.prune)
            self._held = None

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        self._held = None

    def _hold(self, learner: Learner) -> None:
        network = _network(learner)
        owner = len(network.heads) if learner.step >= self._pruning(learner) else 0
        learning = [(weight, (owners == owner).to(weight.dtype)) for weight, owners in network.weights()]
        self._held = [(w, mask, w.detach() * (1 - mask)) for w, mask in learning if not bool(mask.all())]

    def _pruning(self, learner: Learner) -> int:
        """The number of steps of the experience after which its weights are pruned."""
        return max(1, learner.length - round(learner.length * self.options.retrain))

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        if not any(name.startswith("heads.") for name in state):
            return model
        if not isinstance(model, PackedNetwork):
            model = PackedNetwork(model, stored_head(model, lambda name: f"body.{name}.weight" in state))
        model.restore_tasks(state)
        model.infer = self.options.infer_task
        return model

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._held = None


def _network(learner: Learner) -> PackedNetwork:
    network = learner.model
    assert isinstance(network, PackedNetwork)
    return network
