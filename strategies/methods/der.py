"""Dark Experience Replay."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from strategies.api.data import Batch
from strategies.api.guide import Guide
from strategies.api.influence import Influence
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.loop.shared_forward import shared_forward
from strategies.memory.rehearsal import MemoryOptions, Rehearsal
from strategies.memory.reservoir import Memory
from strategies.objectives.objective import TargetKind


class DEROptions(MemoryOptions):
    """Options of `der`, beside those of its memory."""

    alpha: Annotated[float, Influence(experience=1)] = Field(
        default=0.5, ge=0, description="Weight of the distance from the stored logits."
    )
    beta: Annotated[float, Influence(experience=1)] = Field(
        default=0.5,
        ge=0,
        description="Weight of the cross entropy on samples of the memory. Above 0 this is DER++, at 0 it is DER.",
    )
    ratio: Annotated[float, Influence(experience=1)] = Field(
        default=0.5,
        gt=0,
        lt=1,
        description=(
            "Share of replayed samples in a batch, for each of two draws: batch_size * ratio / (1 - ratio) samples "
            "for alpha, and as many others for beta, are added to batch_size current ones."
        ),
    )


class DER(Rehearsal):
    """DER and DER++: Buzzega et al. 2020, Dark experience for general continual learning, equations 5 and 6.

    The memory keeps with each sample the logits z that the model gave it. The loss is the cross entropy on the current
    samples + alpha * mean of (output(x') - z')^2 + beta * mean cross entropy on (x'', y''), with x' and x'' drawn from
    the memory independently at every step. The square is a mean over the units, as in the authors' code; in a
    task-incremental stream over the units of the sample's own task.

    The memory is filled when an experience ends, and the logits are those of the model at that moment. In an online
    stream they are taken, as in the paper, when the sample enters the memory: after the step that trained on it.
    """

    name = "der"
    summary = "Rehearse a memory together with the logits stored with its samples (DER, DER++)"
    paper = "Buzzega et al. 2020, Dark experience for general continual learning: a strong, simple baseline"
    guide = Guide(
        time="larger batches, by the replayed samples",
        memory="`capacity` samples and their logits",
        use_when="old samples may be kept, but only few",
    )
    works_on_past_answers = True
    learns_from_blocks = True
    Options = DEROptions

    options: DEROptions

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        if targets == "tokens":
            return "would keep a number for each token of the vocabulary at every position: use {name: replay}"
        return super().objective_problem(options, targets)

    def extend_batch(self, learner: Learner, batch: Batch) -> Batch:
        """Add this rank's share of both draws."""
        memory, options = self._memory, self.options
        if not memory:
            return batch
        n = max(1, round(batch.total_samples * options.ratio / (1 - options.ratio)))
        if options.alpha:
            batch = self._joined(learner, batch, memory, "der-logits", n, weight=0.0, matched=options.alpha / n)
        if options.beta:
            weight = options.beta * batch.total_weight / n
            batch = self._joined(learner, batch, memory, "der-labels", n, weight=weight, matched=0.0)
        return batch

    def _joined(
        self, learner: Learner, batch: Batch, memory: Memory, purpose: str, n: int, *, weight: float, matched: float
    ) -> Batch:
        """The batch with this rank's share of n samples.

        Args:
            weight: weight of each of them in the cross entropy.
            matched: weight of each of them in the distance from the logits.
        """
        drawn = memory.draw(n, generator(learner.seed, purpose, learner.experience.index, learner.step))
        share = drawn[learner.group.share(n)]
        before = torch.ones(len(batch), device=learner.device) if batch.weights is None else batch.weights
        extra = {}
        if matched:
            logits = memory.tensors["logits"][share].to(learner.device)
            extra = {
                "der.logits": torch.cat([logits.new_zeros(len(batch), learner.outputs), logits]),
                "der.matched": torch.cat([torch.zeros_like(before), before.new_full((len(share),), matched)]),
            }
        return batch.joined(
            learner.prepare(memory.tensors["inputs"].index_select(0, share)),
            memory.tensors["targets"].index_select(0, share).to(learner.device),
            memory.tensors["experiences"].index_select(0, share).to(learner.device),
            added=n,
            weights=torch.cat([before, before.new_full((len(share),), weight)]),
            total_weight=batch.total_weight,
            extra=extra,
        )

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """alpha * the mean squared distance from the stored logits."""
        if "der.logits" not in batch.extra:
            return None
        squares = (output - batch.extra["der.logits"]).square()
        active = learner.active(batch.experiences)
        counted = squares if active is None else squares * active
        units = learner.outputs if active is None else active.sum(1)
        distance = counted.sum(1) / units
        return (distance * batch.extra["der.matched"]).sum()

    def annotations(self, learner: Learner, inputs: Tensor) -> dict[str, Tensor]:
        return {"logits": shared_forward(learner, inputs, learner.model)}
