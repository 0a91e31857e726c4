"""Averages of the weights that experiences have learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from strategies.api.data import Experience, target_units
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy, StrategyOptions
from strategies.loop.learner import Learner
from strategies.loop.process_group import Reduction
from strategies.networks.output_layer import head_name
from strategies.networks.weight_averages import ema, sums_of_task_vectors, ties, trimmed
from strategies.objectives.objective import TargetKind


class MergeOptions(StrategyOptions):
    """Options of `merge`."""

    method: Annotated[Literal["ema", "task-arithmetic", "ties"], LEARNED] = Field(
        default="ema",
        json_schema_extra={"fixed": True},
        description=(
            "ema: each experience starts from the average so far, which then moves towards what it has learned. "
            "task-arithmetic, ties: each starts from the weights of the beginning, and their changes are added up, or "
            "merged where their signs agree."
        ),
    )
    weight: Annotated[float, Influence(experience=1)] = Field(
        default=0.5, gt=0, le=1, description="How far the average of ema moves towards the new weights."
    )
    scale: Annotated[float, LEARNED] = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="Lambda of task-arithmetic and ties, by which the merged change is multiplied.",
    )
    density: Annotated[float, LEARNED] = Field(
        default=0.2, gt=0, le=1, description="Share of each tensor's changes, the largest ones, that ties keeps."
    )
    head: Annotated[Literal["whole", "own-units"], Influence(added="0.2")] = Field(
        default="whole",
        json_schema_extra={"fixed": True},
        description=(
            "What task-arithmetic and ties merge of the head. whole: as any other weights. own-units: the units of an "
            "experience's own classes; what it has done to those of other classes, of which it has no samples, is left "
            "out. For streams whose classes come one after another."
        ),
    )


class Merge(Strategy):
    """Weight averaging: the model after an experience is a merge of what its experiences have learned.

    theta_t are the weights after training on experience t, and theta_0 those before the first experience:

    - `ema`: Marouf et al. 2023, Weighted ensemble models are strong continual learners, equation 5:
      theta = (1 - weight) theta_before + weight * theta_t, and the next experience starts from there.
    - `task-arithmetic`: Ilharco et al. 2023, Editing models with task arithmetic, section 2:
      theta = theta_0 + scale * sum_t (theta_t - theta_0).
    - `ties`: Yadav et al. 2023, TIES-merging, section 4: of each change theta_t - theta_0 the largest `density` of a
      tensor is kept; the sign of a weight is that of the sum of its changes, and theta = theta_0 + scale * the mean of
      the changes with this sign.

    The last two learn each experience from theta_0, and are for pretrained models, from which changes are small. They
    keep sums of the changes, whose size does not depend on the number of experiences. With `lora` or `adapter` the
    adapter and the head are merged. Training on an experience lowers the outputs of all classes that the experience
    does not have, above all with an optimiser such as Adam, whose steps are of similar size for all weights. In the
    merge this outweighs what a single experience has learned of these classes: use `head: own-units` (the papers keep
    a separate head for each task). Running statistics are those of the last experience. A commit's merge comprises the
    commits before it in its chain; its record names the method and the options.
    """

    name = "merge"
    family = "weight averaging"
    summary = "Average the weights that experiences have learned: ema, task arithmetic or TIES (no data kept)"
    paper = "Marouf et al. 2023, Weighted ensemble models; Ilharco et al. 2023 and Yadav et al. 2023, model merging"
    guide = Guide(
        time="nothing in a step; one pass over the weights after an experience",
        memory="ema: nothing; else the weights two to five times",
        use_when="a pretrained model is fine-tuned on similar tasks, and no data may be kept",
    )
    needs_rehearsal_on_shared_head = True
    needs_fixed_structure = True
    learns_from_blocks = True
    Options = MergeOptions
    reductions: ClassVar[Mapping[str, Reduction]] = {
        "start": Reduction.GLOBAL,
        "sum": Reduction.GLOBAL,
        "positive": Reduction.GLOBAL,
        "negative": Reduction.GLOBAL,
        "positives": Reduction.GLOBAL,
        "negatives": Reduction.GLOBAL,
    }

    options: MergeOptions

    def __init__(self, options: MergeOptions | None = None) -> None:
        super().__init__(options)
        # ema: the average so far, while an experience is learned; else the weights before the first one.
        self._start: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}

    @classmethod
    def variant(cls, options: Any) -> type[Strategy]:
        return cls if options.method == "ema" else MergeChanges

    @classmethod
    def objective_problem(cls, options: Any, targets: TargetKind) -> str | None:
        if targets == "classes" or options.head == "whole":
            return None
        return "merges the units of an experience's classes (head: own-units), and there are none: leave head out"

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Keep the average so far."""
        self._start = _weights(learner) if experience.index else {}

    @torch.no_grad()
    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Put the average in the place of the weights."""
        for name, p in _learned(learner).items():
            if name in self._start:
                p.copy_(ema(self._start[name], p, self.options.weight))
        self._start = {}

    def state_dict(self) -> dict[str, Tensor]:
        return {f"start.{name}": tensor for name, tensor in self._start.items()} | self._sums

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self._start = {n.removeprefix("start."): tensor for n, tensor in state.items() if n.startswith("start.")}
        self._sums = {name: tensor for name, tensor in state.items() if not name.startswith("start.")}


class MergeChanges(Merge):
    """`merge` with task-arithmetic or ties: every experience starts from the weights before the first one."""

    name = Merge.name
    summary = Merge.summary
    guide = Merge.guide
    starts_afresh = True

    @torch.no_grad()
    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Go back to the weights before the first experience."""
        if not self._start:
            self._start = _weights(learner)
            return
        for name, p in _learned(learner).items():
            p.copy_(self._start[name])
        learner.reset_optimizer()

    @torch.no_grad()
    def after_experience(self, learner: Learner, experience: Experience) -> None:
        """Add the experience's change to the sums, and put the merged weights in."""
        options, simple = self.options, self.options.method == "task-arithmetic"
        head = "" if options.head == "whole" else head_name(learner.model, learner.example(), self.name)
        for name, p in _learned(learner).items():
            start = self._start[name]
            change = p - start
            if head and name in (f"{head}.weight", f"{head}.bias"):
                own = target_units(learner.samples, learner.outputs).to(change.device)
                change = torch.zeros_like(change).index_copy_(0, own, change[own])
            if simple:
                total = change + self._sums.get(f"sum.{name}", 0)
                self._sums[f"sum.{name}"] = total
                merged = total
            else:
                sums = sums_of_task_vectors([trimmed(change, options.density)])
                parts = {part: sums[part] + self._sums.get(f"{part}.{name}", 0) for part in sums}
                self._sums |= {f"{part}.{name}": value for part, value in parts.items()}
                merged = ties(parts)
            p.copy_(start + options.scale * merged)


def _learned(learner: Learner) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in learner.model.named_parameters() if p.requires_grad}


def _weights(learner: Learner) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in _learned(learner).items()}
