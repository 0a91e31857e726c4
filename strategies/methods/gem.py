"""Gradient Episodic Memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from strategies.api.guide import Guide
from strategies.api.influence import Influence
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.memory.rehearsal import MemoryOptions, Rehearsal
from strategies.projection.gradient_projection import inner, pulls
from strategies.projection.reference_gradient import gradients, reference_gradient


class GEMOptions(MemoryOptions):
    """Options of `gem`, beside those of its memory."""

    margin: Annotated[float, Influence(experience=1)] = Field(
        default=0.5,
        ge=0,
        description=(
            "Smallest pull of every past experience on the gradient, once the constraint of one is violated "
            "(memory_strength in the authors' code)."
        ),
    )
    samples: Annotated[int | None, Influence(experience=1)] = Field(
        default=None,
        ge=1,
        description=(
            "Samples of each past experience that are drawn at every step for its reference gradient. "
            "null: all that the memory holds."
        ),
    )


class GEM(Rehearsal):
    """GEM: Lopez-Paz & Ranzato 2017, Gradient episodic memory for continual learning, equations 8 to 12.

    At every step each past experience has a reference gradient: of the mean loss on its samples in the memory. When the
    gradient of the batch points against one of them, the step takes the closest vector that points against no reference
    (`projection.gradient_projection`). A step costs a forward and a backward pass through the memory, and as many
    gradients are held as there are past experiences. In an online stream it needs experience boundaries, because each
    past experience is one constraint.
    """

    name = "gem"
    summary = "Keep each step from raising the loss on any past experience (a quadratic programme per step)"
    paper = "Lopez-Paz & Ranzato 2017, Gradient episodic memory for continual learning"
    guide = Guide(
        time="a backward pass for each past experience and a quadratic programme each step",
        memory="`capacity` samples",
        use_when="the loss on the past must not rise, and experiences are few",
    )
    projects_gradients = True
    learns_from_blocks = True
    works_on_past_answers = True
    Options = GEMOptions

    options: GEMOptions

    def __init__(self, options: GEMOptions | None = None) -> None:
        super().__init__(options)
        self._rows: Tensor | None = None

    @property
    def needs_boundaries(self) -> bool:
        return True

    @torch.no_grad()
    def after_backward(self, learner: Learner) -> None:
        memory = self._memory
        if not memory:
            return
        references = self.references(learner)
        gradient = gradients(learner, references)
        if all(0 < float(inner(gradient, reference)) < torch.inf for reference in references):
            return  # the usual case, and cheap to check
        found = pulls(gradient, self._stacked(references), self.options.margin)
        if found is not None:
            for pull, reference in zip(found.tolist(), references, strict=True):
                torch._foreach_add_(gradient, reference, alpha=pull)

    def _stacked(self, gradients: Sequence[Sequence[Tensor]]) -> Tensor:
        """One row for each gradient. The memory is reused, because allocating that much at every step is slow."""
        parts = [t.reshape(-1) for gradient in gradients for t in gradient]
        shape, kept = (len(gradients), sum(t.numel() for t in gradients[0])), self._rows
        if kept is None or kept.shape != shape or kept.dtype != parts[0].dtype or kept.device != parts[0].device:
            kept = self._rows = parts[0].new_empty(shape)
        torch.cat(parts, out=kept.view(-1))
        return kept

    def references(self, learner: Learner) -> list[list[Tensor]]:
        """The gradient of the mean loss on each past experience's samples, oldest first."""
        memory = self.memory(learner)
        found = []
        past, counts = memory.tensors["experiences"].unique_consecutive(return_counts=True)
        places = torch.arange(len(memory)).split(counts.tolist())
        with learner.evaluating(), torch.enable_grad():
            for experience, own in zip(past.tolist(), places, strict=True):
                n = self.options.samples
                if n is not None and n < len(own):
                    draw = generator(learner.seed, "gem", learner.experience.index, learner.step, experience)
                    own = own[torch.from_numpy(draw.choice(len(own), n, replace=False, shuffle=False))]
                found.append(reference_gradient(learner, memory, own))
        return found
