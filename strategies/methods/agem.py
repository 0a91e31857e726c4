"""Averaged Gradient Episodic Memory."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from strategies.api.guide import Guide
from strategies.api.influence import Influence
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import generator
from strategies.memory.rehearsal import MemoryOptions, Rehearsal
from strategies.projection.gradient_projection import inner, project_off
from strategies.projection.reference_gradient import gradients, reference_gradient


class AGEMOptions(MemoryOptions):
    """Options of `agem`, beside those of its memory."""

    samples: Annotated[int, Influence(experience=1)] = Field(
        default=256,
        ge=1,
        description="Samples that are drawn from the memory at every step for the reference gradient.",
    )


class AGEM(Rehearsal):
    """A-GEM: Chaudhry et al. 2019, Efficient lifelong learning with A-GEM, equations 10 and 11.

    At every step the gradient r of the mean loss on samples drawn from the memory is the reference. When the gradient g
    points against it, g . r < 0, the step takes g - (g . r / r . r) r instead, the closest vector that does not. In an
    online stream the memory, and with it the reference, covers all samples so far.
    """

    name = "agem"
    summary = "Keep each step from raising the average loss on the memory (one projection a step)"
    paper = "Chaudhry et al. 2019, Efficient lifelong learning with A-GEM"
    guide = Guide(
        time="one more backward pass each step",
        memory="`capacity` samples",
        use_when="as gem, with many experiences or online; in class-incremental streams replay is better",
    )
    projects_gradients = True
    works_on_past_answers = True
    needs_rehearsal_on_shared_head = True
    learns_from_blocks = True
    Options = AGEMOptions

    options: AGEMOptions

    @torch.no_grad()
    def after_backward(self, learner: Learner) -> None:
        memory = self._memory
        if not memory:
            return
        draw = generator(learner.seed, "agem", learner.experience.index, learner.step)
        with torch.enable_grad():
            reference = reference_gradient(learner, memory, memory.draw(min(self.options.samples, len(memory)), draw))
        gradient = gradients(learner, [reference])
        if learner.device.type == "cpu" and 0 < float(inner(gradient, reference)) < torch.inf:
            return  # nothing to project; on a GPU this check would wait for the device
        excess = project_off(gradient, reference)
        torch._foreach_addcmul_(gradient, reference, [excess] * len(reference), value=-1)
