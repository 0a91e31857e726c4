"""The contract of an objective: everything that the loop and the strategies ask about losses and likelihoods."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from strategies.api.data import Samples, in_blocks, target_units
from strategies.api.guide import SETTINGS, Setting
from strategies.api.strategy_errors import StrategyError
from strategies.metrics.score import Score
from strategies.metrics.score_registry import all_scores

TargetKind = Literal["classes", "numbers", "labels", "tokens"]
"""What the targets are: `classes`, (n,) int64; `numbers`, (n, k) float64; `labels`, (n, k) uint8 of 0 and 1; `tokens`,
(n, length) int32, with -1 where nothing is learned: outputs are then (n, outputs, length)."""

Term = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]
"""From the outputs of some samples, (m, outputs), and their positions among the inputs, (m,) int64, to a scalar for
each, (m,), and the weight of its gradient's square, (m,), or None: 1 for each."""


class ObjectiveOptions(BaseModel):
    """Options of an objective in a pipeline file; fields say by annotation what they influence, as a strategy's do."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def changes_loss(self) -> bool:
        """Whether they change the loss: strategies with a loss of their own would ignore them, and are refused."""
        return False


class Objective:
    """What a model should do. One per learner; beside its `state_dict` it keeps nothing but what `begin` makes anew.

    Attributes:
        name: its name in pipeline files; strategies declare the names that they are defined for.
        summary: one line for a person.
        Options: its options.
        targets: what the data's labels are read as.
        settings: the settings of a stream in which it is defined.
        default_score: name of the score that the score matrix holds when the file names none.
    """

    name: ClassVar[str] = "objective"
    summary: ClassVar[str] = ""
    default_score: ClassVar[str] = "accuracy"
    Options: ClassVar[type[ObjectiveOptions]] = ObjectiveOptions
    targets: ClassVar[TargetKind] = "classes"
    settings: ClassVar[tuple[Setting, ...]] = SETTINGS

    def __init__(self, options: Any = None) -> None:
        """
        Args:
            options: an instance of `Options`.
        """
        self.options = self.Options() if options is None else options

    def problem(self, outputs: int, *, online: bool) -> str | None:
        """Why it cannot be used with such a head, or in an online stream, with the remedy, or None."""
        return None

    def begin(self, targets: Tensor, outputs: int) -> None:
        """Called on every rank before the first step of an experience, and when it is resumed.

        Args:
            targets: of all samples that will be trained on, the same on every rank.
            outputs: units of the model's head.

        Raises:
            StrategyError: the targets do not fit the head or the options.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """What has to be kept with the model to resume exactly and to read its outputs, by name."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state_dict` returned."""

    def answers(self, output: Tensor) -> Tensor:
        """The targets that outputs stand for, as in a batch.

        Args:
            output: (n, outputs), float; units that are not active are at -inf.
        """
        raise self._lacks("answers")

    def in_unit(self, model: nn.Module) -> nn.Module:
        """The trained model with its outputs in the targets' unit; the model itself where they are so already."""
        return model

    def begin_samples(self, samples: Samples, outputs: int) -> None:
        """Calls `begin`, where an objective defines it, or `begin_parts` for samples that are read by blocks.

        For an objective that needs less than the targets of all samples: those of data larger than memory would have to
        be read for it.
        """
        if type(self).begin is Objective.begin:
            return
        if in_blocks(samples):
            self.begin_parts((targets for _, targets in samples.labelled()), outputs)
        else:
            self.begin(samples.targets, outputs)

    def begin_parts(self, parts: Iterable[Tensor], outputs: int) -> None:
        """`begin` with the targets in parts, for an objective that does not need all of them at once."""
        self.begin(torch.cat(list(parts)), outputs)

    def loss(self, output: Tensor, targets: Tensor, units: Tensor | None = None) -> Tensor:
        """The loss of each sample, (n,): its negative log-likelihood, class weights applied.

        Args:
            output: (n, outputs), float.
            targets: (n,) or (n, ...): of int64 classes, or what the objective takes.
            units: ascending int64: the output units that the columns of `output` are, and `targets` positions among
                them; None: all.
        """
        raise self._lacks("loss")

    def total(self, output: Tensor, targets: Tensor) -> Tensor:
        """The sum of `loss`, 0-dim: what a step takes, where a fused form is faster."""
        return self.loss(output, targets).sum()

    def mean(self, output: Tensor, targets: Tensor) -> Tensor:
        """The mean of `loss` over n >= 1 samples, 0-dim: what a step takes where one rank has the whole batch."""
        return self.total(output, targets) / len(targets)

    def learned_units(self, targets: Tensor, outputs: int) -> Tensor:
        """(outputs,) bool: the output units whose values the samples' targets say something about."""
        raise self._lacks("learned_units")

    def units_of(self, samples: Samples, outputs: int) -> Tensor:
        """`learned_units` of the targets of all samples.

        Samples that are read by blocks give one target of each class, or of columns those of the first sample.
        """
        if not in_blocks(samples):
            return self.learned_units(samples.targets, outputs)
        if self.targets == "classes":
            return self.learned_units(target_units(samples, outputs), outputs)
        return self.learned_units(samples.take(torch.arange(1))[1], outputs)

    def fisher_targets(self, outputs: int, targets: Tensor | None, units: Tensor | None) -> list[Term]:
        """The terms of the Fisher information: the gradient of each is squared for each sample, weighted, and added up.

        Args:
            outputs: number of the model's outputs, or of `units`.
            targets: of all inputs, for the empirical Fisher; None: the true one, the expectation over the targets
                under the model's own distribution.
            units: the output units that take part, ascending int64; None: all.
        """
        raise self._lacks("fisher_targets")

    def distance(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        """How far outputs are from a teacher's, for each sample, (n,), with the gradient of a divergence.

        Args:
            student, teacher: (n, units).
            temperature: T > 0, which softens probabilities; the result has the factor T^2.
        """
        raise self._lacks("distance")

    def rows_at_once(self, samples: Samples, outputs: int, most: int) -> int:
        """How many samples evaluation passes through the model at a time, `most` at most: as many as memory takes."""
        return most

    @classmethod
    def offered(cls) -> tuple[Score, ...]:
        """The scores that `score:` and `metrics:` may name; those of the registry that list its name."""
        return all_scores(cls.name)

    def tally(self, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What the scores are computed from: values for each sample, (n, c) float, and the truth, (n, ...).

        Evaluation gathers both as they are, in the order of the test set, so that no score depends on the number of
        ranks; each `Score.function` gets those of a test set, or of several joined, as float64 numpy arrays. Values
        are probabilities, predictions in the unit of the target, or sums over the tokens of a sample.

        Args:
            output: (n, outputs), as the model or a strategy's `predict` gives it; -inf for units that are not active.
            targets: as the samples have them: (n,) or (n, ...).
        """
        raise self._lacks("tally")

    def right(self, values: Tensor, truth: Tensor) -> Tensor | None:
        """(n,) bool: which samples are right, from what `tally` gave; None where that is not defined.

        Not asked where targets are classes. Commits count them, and which of them a later model gets wrong.
        """
        return None

    def _lacks(self, method: str) -> StrategyError:
        return StrategyError(
            f"objective {self.name}: {type(self).__name__} defines no `{method}`, which this pipeline needs.\n"
            "Define it, or leave out the strategy that asks for it"
        )
