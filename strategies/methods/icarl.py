"""iCaRL: exemplars chosen by herding, classification by the nearest mean of exemplars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from strategies.api.data import Batch, BlockSamples, Experience, Samples, in_blocks, in_chunks, target_units
from strategies.api.guide import DOMAIN, Guide, Limit
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.distillation.soft_targets import sigmoid_cross_entropy
from strategies.distillation.teacher import Teacher
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.shared_forward import shared_forward
from strategies.memory.herding import ExemplarMemory, herd
from strategies.memory.joined_samples import joined_samples
from strategies.memory.memory_samples import MemorySamples
from strategies.memory.newcomers import drawn
from strategies.memory.reservoir import Memory
from strategies.networks.penultimate_features import features

CHUNK = 1000
CANDIDATES = 10
"""Samples for each exemplar among which it is chosen, where an experience is not in memory."""


class ICaRLOptions(StrategyOptions):
    """Options of `icarl`."""

    capacity: Annotated[int, LEARNED] = Field(
        default=2000, ge=1, description="Exemplars in the memory, shared evenly by the classes seen so far."
    )
    per_class: Annotated[int | None, LEARNED] = Field(
        default=None,
        ge=1,
        json_schema_extra={"fixed": True},
        description="Most exemplars that one class may keep. null: no such limit.",
    )
    temperature: Annotated[float, Influence(experience=1, added="0.1")] = Field(
        default=1.0,
        gt=0,
        description=(
            "The targets of the previous model are sigmoid(logit / temperature). 1 is the paper's; van de Ven et al. "
            "2022 use 2, which leaves the units of earlier classes room to move."
        ),
    )


class ICaRL(Strategy):
    """iCaRL: Rebuffi et al. 2017, iCaRL: incremental classifier and representation learning, algorithms 1 to 5.

    - The experience is trained together with the exemplars, with sigmoids instead of a softmax: the targets are the
      labels for units of the experience, and the sigmoids of the previous model for units of earlier classes; the
      binary cross entropies of the units are added up. Units that no class has used yet take no part.
    - Exemplars are chosen by herding on the normalised input of the head; a class has capacity / classes of them, and
      as classes come, each list is cut at its end. With several ranks, each computes its share of the features; all
      ranks then choose alike (two samples may change places when their distances agree to the last bit).
    - A sample is classified by the nearest mean of exemplars in that space, with means computed by the current model.

    A class that occurs again in a later experience is labelled by the new data, and its lists of exemplars interleave.

    From data in lanes, a seeded hash of the ids draws 10 times as many samples of each class as its number of
    exemplars. These samples are read a second time, and herding chooses exemplars among them, towards their mean.
    """

    name = "icarl"
    family = "rehearsal"
    summary = "Exemplars by herding, distillation, and the nearest mean of exemplars"
    paper = "Rebuffi et al. 2017, iCaRL: incremental classifier and representation learning"
    guide = Guide(
        time="a forward pass of the previous model each step, and herding at the end",
        memory="`capacity` samples and the previous model",
        use_when="new classes arrive, and the memory is small for each of them",
    )
    rehearses = True
    keeps_samples = True
    trains_other_loss = True
    learns_from_blocks = True
    needs_fixed_structure = True
    objectives = ("classification",)
    limits: ClassVar[Mapping[str, Limit]] = {
        DOMAIN: Limit(
            "is made for new classes, and rehearses old domains only through their exemplars",
            "use {name: replay} or {name: der}",
        )
    }
    Options = ICaRLOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {"teacher": Reduction.GLOBAL, "seen": Reduction.GLOBAL}

    options: ICaRLOptions

    def __init__(self, options: ICaRLOptions | None = None) -> None:
        super().__init__(options)
        self.teacher = Teacher()
        self.seen: Tensor | None = None  # (outputs,) bool: units of the classes learned so far
        self._memory: ExemplarMemory | None = None
        self._labelled: Tensor | None = None  # (outputs,) bool: units of the experience
        self._means: tuple[Tensor, Tensor] | None = None

    def memory(self, learner: Learner) -> ExemplarMemory:
        """The exemplars, made on first use."""
        options = self.options
        if self._memory is None:
            self._memory = ExemplarMemory(options.capacity, learner.seed, per_class=options.per_class)
        self._memory.resize(options.capacity)
        return self._memory

    def training_set(self, learner: Learner, experience: Experience) -> Samples | None:
        """The experience's samples and all exemplars."""
        self._labelled = torch.zeros(learner.outputs, dtype=torch.bool)
        self._labelled[target_units(learner.samples, learner.outputs)] = True
        memory = self.memory(learner)
        if not memory:
            return None
        exemplars = MemorySamples(memory)
        return joined_samples([learner.samples, exemplars], [experience.index, exemplars.experiences])

    def training_loss(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """Labels on the experience's units, the previous model's sigmoids on the units of earlier classes."""
        assert self._labelled is not None
        targets = F.one_hot(batch.targets, learner.outputs).to(output.dtype)
        units = self._labelled.to(output.device)
        if self.teacher and self.seen is not None:
            soft = (self.teacher(learner, batch.inputs).to(output.dtype) / self.options.temperature).sigmoid()
            targets = torch.where(units, targets, soft)
            units = units | self.seen
        return batch.mean(sigmoid_cross_entropy(output[:, units], targets[:, units]))

    def after_step(self, learner: Learner) -> None:
        self._means = None

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        memory, samples = self.memory(learner), learner.samples
        classes = target_units(samples, learner.outputs)
        seen = torch.zeros(learner.outputs, dtype=torch.bool, device=learner.device)
        seen[classes.to(learner.device)] = True
        self.seen = seen if self.seen is None else self.seen | seen
        n = -(-memory.capacity // int(self.seen.sum()))
        n = n if memory.per_class is None else min(n, memory.per_class)
        if in_blocks(samples):
            memory.add(experience.index, self._herd_drawn(learner, samples, classes, n))
        else:
            for label in classes:
                own = (samples.targets == label).nonzero().squeeze(1)
                phi = self._features(learner, samples, own)
                chosen = own[herd(phi, n).cpu()]
                inputs, targets = samples.take(chosen)
                rank = torch.arange(len(chosen))
                memory.add(
                    experience.index, {"ids": samples.ids[chosen], "targets": targets, "inputs": inputs, "rank": rank}
                )
        self.teacher.take(learner.model)
        self._means = None

    @torch.no_grad()
    def _herd_drawn(self, learner: Learner, samples: BlockSamples, classes: Tensor, n: int) -> dict[str, Tensor]:
        """`ids`, `targets`, `inputs` and `rank` of at most n exemplars of each class, chosen among samples drawn."""
        group, most = learner.group, CANDIDATES * n
        best = Memory(most * len(classes), "class-balanced", learner.seed, per_class=most)
        best.forgotten = self.memory(learner).forgotten
        found = drawn(best, samples)
        places = found["places"]
        share = group.share(len(places))
        with learner.evaluating():
            phi = [features(learner.model, learner.example(samples)[:1])[:0]]
            for inputs, _ in samples.batches(places[part] for part in in_chunks(share, CHUNK)):
                phi.append(features(learner.model, learner.prepare(inputs)))
        every = group.gather(torch.cat(phi), share, len(places))
        chosen = []
        for label in classes:
            own = (found["targets"] == label).nonzero().squeeze(1)
            chosen.append(own[herd(every[own.to(every.device)], n).cpu()])
        rank = torch.cat([torch.arange(len(one)) for one in chosen])
        picked, order = torch.cat(chosen).sort()
        share = group.share(len(picked))
        inputs = group.gather(samples.take(places[picked[share]])[0], share, len(picked))
        return {"ids": found["ids"][picked], "targets": found["targets"][picked], "inputs": inputs, "rank": rank[order]}

    def _features(self, learner: Learner, samples: Samples, index: Tensor) -> Tensor:
        parts = (inputs for inputs, _ in samples.batches(index.split(CHUNK)))
        return torch.cat([shared_forward(learner, part, lambda x: features(learner.model, x)) for part in parts])

    def predict(self, learner: Learner, inputs: Tensor, experience: Experience) -> Tensor | None:
        """Minus the squared distance from each class's mean of exemplars; -inf for classes without exemplars."""
        if not self._memory:
            return None
        if self._means is None:
            self._means = self.class_means(learner)
        means, known = self._means
        phi = features(learner.model, inputs)
        return (-torch.cdist(phi, means).square()).masked_fill(~known, -torch.inf)

    @torch.no_grad()
    def class_means(self, learner: Learner) -> tuple[Tensor, Tensor]:
        """Normalised means of the exemplars' features, (outputs, d), and whether a class has any, (outputs,) bool."""
        tensors = self.memory(learner).tensors
        with learner.evaluating():
            parts = [features(learner.model, learner.prepare(x)) for x in tensors["inputs"].split(CHUNK)]
        phi, targets = torch.cat(parts), tensors["targets"].to(learner.device)
        sums = phi.new_zeros(learner.outputs, phi.shape[1]).index_add_(0, targets, phi)
        known = targets.bincount(minlength=learner.outputs) > 0
        return F.normalize(sums, dim=1), known

    def memories(self, learner: Learner) -> dict[str, Memory]:
        return {self.name: self.memory(learner)}

    def state_dict(self) -> dict[str, Tensor]:
        return {} if self.seen is None else {**self.teacher.state_dict(), "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.teacher.load_state_dict(state)
        self.seen = state.get("seen")
        self._means = None
