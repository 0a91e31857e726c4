"""Dynamically expandable representation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from strategies.api.data import Batch, Experience, in_chunks, target_units
from strategies.api.guide import CLASS, DOMAIN, Guide, Limit
from strategies.api.influence import Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.loop.seeded_random import integer
from strategies.networks.feature_extractors import Extractors
from strategies.networks.output_layer import head_name, stored_head

CHUNK = 1000


class ExpandOptions(StrategyOptions):
    """Options of `expand`."""

    threshold: Annotated[float, Influence(experience=1)] = Field(
        default=0.9,
        ge=0,
        le=1,
        description=(
            "The network grows for an experience if the model, before learning it, classifies a smaller share of its "
            "training samples correctly. 1: grow whenever one is wrong. 0: never grow."
        ),
    )
    auxiliary: Annotated[float, Influence(experience=1)] = Field(
        default=1.0, ge=0, description="Weight of the auxiliary classifier's loss."
    )


class Expand(Strategy):
    """DER: Yan, Xie & He 2021, DER: dynamically expandable representation for class incremental learning.

    When an experience needs new features, the network gets a new extractor: a fresh copy of the model without its head.
    The extractors before it are frozen, the features of all are concatenated, and one head over all of them is learned
    on (equations 2 to 4). The loss gains `auxiliary` times the cross entropy of a classifier on the new features alone,
    which has the experience's classes and one more class for all older ones (equation 6); it is removed when the
    experience ends.

    An experience needs new features when the model, before learning it, classifies less than `threshold` of its
    training samples correctly, counted over all of them (one forward pass; in a task-incremental stream among the
    task's units). The paper always expands. Without expansion, all extractors stay frozen and only the head learns.

    Left out of the paper: the channel masks that make extractors smaller (section 3.3), and the second stage that
    retrains the head on a balanced set (3.4), for which `replay` with `policy: class-balanced` is a substitute.
    """

    name = "expand"
    family = "architecture"
    summary = "New features beside frozen ones when an experience needs them (DER, made for replay)"
    paper = "Yan, Xie & He 2021, DER: dynamically expandable representation for class incremental learning"
    guide = Guide(
        time="forward passes through all feature extractors so far",
        memory="a feature extractor for each experience that needed one",
        use_when="the model may grow with what it learns; on shared heads with replay",
    )
    freezes_features = True
    learns_from_blocks = True
    needs_rehearsal_on_shared_head = True
    objectives = ("classification",)
    limits: ClassVar[Mapping[str, Limit]] = dict.fromkeys(
        (CLASS, DOMAIN),
        Limit(
            "keeps its features and not the head that all experiences share",
            "add {name: replay}",
            lifted_by="rehearses",
        ),
    )
    Options = ExpandOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {}

    options: ExpandOptions

    def __init__(self, options: ExpandOptions | None = None) -> None:
        super().__init__(options)
        self._places: Tensor | None = None  # (outputs,) int64: position of each unit in the auxiliary classifier

    @property
    def needs_boundaries(self) -> bool:
        return True

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Grow if the experience needs new features; the first experience turns the model into `Extractors`."""
        self._places = None
        network = learner.model
        if not isinstance(network, Extractors):
            with learner.evaluating(), torch.no_grad():
                learner.model = Extractors(network, head_name(network, learner.example(), self.name))
            learner.model.to(learner.device)
        elif self.accuracy(learner, experience) < self.options.threshold:
            units = len(target_units(learner.samples, learner.outputs))
            network.grow(units, integer(learner.seed, "expand", experience.index), self.name)
        else:
            network.freeze(growing=False)

    @torch.no_grad()
    def accuracy(self, learner: Learner, experience: Experience) -> float:
        """The share of the experience's training samples that the model classifies correctly; equal on every rank."""
        samples, allowed = learner.samples, learner.units(experience)
        share = learner.group.share(len(samples))
        right = torch.zeros((), dtype=torch.int64, device=learner.device)
        with learner.evaluating():
            for inputs, targets in samples.batches(in_chunks(share, CHUNK)):
                answers = allowed[learner.model(learner.prepare(inputs))[:, allowed].argmax(1)]
                right += (answers == targets.to(learner.device)).sum()
        learner.group.reduce_([right], Reduction.SUM)
        return int(right) / len(samples)

    def loss_term(self, learner: Learner, batch: Batch, output: Tensor) -> Tensor | None:
        """The auxiliary classifier's loss on the new features."""
        network = learner.model
        assert isinstance(network, Extractors)
        features, network.newest = network.newest, None
        if network.auxiliary is None or features is None:
            return None
        if self._places is None:
            units = target_units(learner.samples, learner.outputs).to(learner.device)
            self._places = torch.full((learner.outputs,), -1, device=learner.device)
            self._places[units] = torch.arange(len(units), device=learner.device)
        logits = network.auxiliary(features[: len(batch)].to(network.auxiliary.weight.dtype)).float()
        older = logits.shape[1] - 1
        mine = batch.experiences == learner.experience.index
        targets = torch.where(mine, self._places[batch.targets], older)
        return self.options.auxiliary * batch.mean(F.cross_entropy(logits, targets, reduction="none"))

    def after_experience(self, learner: Learner, experience: Experience) -> None:
        network = learner.model
        assert isinstance(network, Extractors)
        network.freeze(growing=False)

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        if "growing" not in state:
            return model
        if not isinstance(model, Extractors):
            model = Extractors(model, stored_head(model, lambda name: f"extractors.0.{name}.weight" in state))
        model.restore(state)
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, str]:
        if not isinstance(model, Extractors):
            return {}
        return {f"extractor.{k}": f"extractors.{k}." for k in range(len(model.extractors))}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._places = None
