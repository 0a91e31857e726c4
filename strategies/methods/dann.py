"""Domain-adversarial training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from strategies.api.data import Batch, Experience
from strategies.api.guide import CLASS, TASK, Guide, Limit
from strategies.api.influence import Influence
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.methods.replay import Replay, ReplayOptions
from strategies.networks.penultimate_features import head
from strategies.networks.side_network import SideNetwork, perceptron
from strategies.objectives.objective import TargetKind


class DANNOptions(ReplayOptions):
    """Options of `dann`, beside those of `replay`, whose memory and batches it has."""

    lambda_: Annotated[float, Influence(experience=1)] = Field(
        default=1.0,
        ge=0,
        alias="lambda",
        description=(
            "Factor of the reversed gradient at the end of an experience, to which it grows from 0. "
            "With 0 this is replay."
        ),
    )
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Influence(experience=1)] = Field(
        default=(100,), description="Units of each hidden layer of the discriminator."
    )
    lr: Annotated[float, Influence(experience=1)] = Field(
        default=1e-3, gt=0, description="Learning rate of the discriminator's Adam."
    )


class DANN(Replay):
    """DANN: Ganin et al. 2016, Domain-adversarial training of neural networks, equations 9 and 13 to 18.

    The domains are the experiences of a domain-incremental stream. A discriminator learns to predict, from the features
    that enter the head, which experience a sample comes from. The layers below the head learn from its gradient,
    reversed and times lambda_p, to prevent that: the features of a class become the same in every domain. As in the
    paper lambda_p = lambda * (2 / (1 + exp(-10 p)) - 1), with p from 0 to 1 over the steps of the experience, and the
    discriminator itself learns at its full rate.

    The paper has a labelled domain and an unlabelled one at the same time. Here all are labelled, and the past ones are
    in a memory: batches are those of `replay`. The discriminator is initialised again in every experience, which has
    one more domain. A step costs as much as with `replay`, plus a training step of the discriminator.
    """

    name = "dann"
    family = "domain shift"
    summary = "Replay with features that do not distinguish domains (adversarial)"
    paper = "Ganin et al. 2016, Domain-adversarial training of neural networks"
    guide = Guide(
        time="a domain classifier beside the model, and larger batches",
        memory="`capacity` samples",
        use_when="the same classes come from domains that look different",
    )
    includes = (Replay,)
    learns_sharded = False
    needs_fixed_structure = True
    needs_sample_origin = True
    limits: ClassVar[Mapping[str, Limit]] = dict.fromkeys(
        (CLASS, TASK),
        Limit(
            "makes features alike in all experiences, which have different classes here",
            "use {name: replay}, or set setting: domain-incremental",
        ),
    )
    Options = DANNOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {
        "discriminator": Reduction.GLOBAL,
        "adam": Reduction.GLOBAL,
    }

    options: DANNOptions

    def __init__(self, options: DANNOptions | None = None) -> None:
        super().__init__(options)
        self.discriminator: SideNetwork[nn.Sequential] = SideNetwork()
        self._head: nn.Linear | None = None
        self._entering: Tensor | None = None
        self._watch: RemovableHandle | None = None

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        if targets == "tokens":
            return "makes features of whole samples alike, and tokens have features of their own: use {name: replay}"
        return super().objective_problem(options, targets)

    @property
    def needs_boundaries(self) -> bool:
        return True

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        self.discriminator.drop()
        self._head = None

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        """Add this rank's share of the samples drawn from the memory, and record the input of the head."""
        if not self._memory or self.options.lambda_ == 0:
            return super().extend_batch(learner, batch)
        if self._head is None:
            with learner.evaluating(), torch.no_grad():
                example = learner.prepare(learner.samples.take(torch.arange(1))[0])
                self._head = head(learner.model, example, "dann discriminates by")
        watched = self._head

        def keep(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
            if layer is watched:  # not the copy of the layer in a teacher
                self._entering = args[0]

        self._watch = watched.register_forward_pre_hook(keep)
        return super().extend_batch(learner, batch)

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """- lambda_p times the discriminator's loss, for the features; the discriminator itself learns to lower it."""
        if self._entering is None:
            return None
        entering, self._entering = self._entering.flatten(1)[: len(batch)], None
        discriminator = self._discriminator(learner, entering.shape[1])
        seen = entering.detach().to(next(discriminator.parameters())).requires_grad_()
        loss = batch.mean(F.cross_entropy(discriminator(seen), batch.experiences, reduction="none"))
        (gradient,) = self.discriminator.add_gradients(loss, [seen])
        lambda_p = self.options.lambda_ * schedule(learner.step / learner.length)
        # The value is as in the docstring; its gradient with respect to the features is - lambda_p * gradient.
        linear = (entering * gradient.to(entering)).sum()
        return -lambda_p * (loss.detach() + (linear - linear.detach()).float())

    def _discriminator(self, learner: Learner, width: int) -> nn.Sequential:
        index = learner.experience.index
        sizes = [width, *self.options.hidden, index + 1]
        return self.discriminator.get(learner, lambda: perceptron(sizes), "dann", index)

    def after_backward(self, learner: Learner) -> None:
        if self._watch is not None:
            self._watch.remove()
            self._watch = None
            self.discriminator.step(learner, self.options.lr)

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Let the experience's samples compete for the memory, and drop the discriminator."""
        super().after_experience(learner, experience)
        self.discriminator.drop()

    def state_dict(self) -> dict[str, Tensor]:
        return self.discriminator.state_dict("discriminator")

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.discriminator.load_state_dict("discriminator", state)


def schedule(p: float) -> float:
    """2 / (1 + exp(-10 p)) - 1: from 0 at p = 0 to almost 1 at p = 1 (Ganin et al. 2016, section 5.2.2)."""
    return 2 / (1 + math.exp(-10 * p)) - 1
