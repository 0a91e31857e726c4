"""What a score is: one record for a number that says how good a model is on a test set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values
    from strategies.metrics.metric import Better

CLASS = "class"
"""The parameter that is a class, by its name or the number of its output."""

ScoreUnit = Literal["fraction", "number"]
Compute = Callable[["Values", "Values"], float]


def value_of(parameter: str) -> str:
    """What stands for the value of a parameter, where it is explained."""
    return "CLASS" if parameter == CLASS else "NUMBER"


@dataclass(frozen=True, eq=False)
class Score:
    """A score of a model on a test set, or on several taken together.

    Attributes:
        name: for `score:` and `metrics:` of a pipeline file, in commits, `--json` and MLflow.
        unit: a `fraction` is shown in percent, a `number` as it is: in the unit of the target, for example.
        better: the direction of improvement.
        function: from what the objective's `tally` gives for all samples, in the order of the test set: values, (n, c)
            float64, and truth, (n, ...) float64. NaN where it is not defined for them.
        meaning: for a person, in a few words.
        definition: the formula.
        source: the paper, or the library whose definition it is.
        objectives: names of the objectives that offer it.
        at: by the parameter that may follow its name, `recall@precision=0.9`, the function of the parameter's value,
            the values and the truth.
        probabilities: whether it is defined only where the values are probabilities of the model.
        of_class: the class that its name names, `recall@class=fraud`, by name or number; None: it names none.
        by_class: the function of the number of that class, the values and the truth.
    """

    name: str
    unit: ScoreUnit = "fraction"
    better: Better = "higher"
    function: Compute = lambda values, truth: math.nan
    meaning: str = ""
    definition: str = ""
    source: str = ""
    objectives: tuple[str, ...] = ()
    at: Mapping[str, Callable[[float, Values, Values], float]] = field(default_factory=dict)
    probabilities: bool = False
    of_class: str | None = None
    by_class: Callable[[float, Values, Values], float] | None = None

    @property
    def title(self) -> str:
        """The name as words."""
        return self.name.replace("_", " ")

    @property
    def sign(self) -> int:
        """1, or -1 where lower is better: what it is multiplied by, so that more is better."""
        return 1 if self.better == "higher" else -1

    def value(self, values: Any, truth: Any) -> float | None:
        """The score of these samples; None where it is not defined, or the values are not all finite.

        Args:
            values: (n, c) float64; truth: (n, ...) float64; both numpy arrays.
        """
        if not len(values) or not math.isfinite(values.sum()):
            return None
        found = float(self.function(values, truth))
        return found if math.isfinite(found) else None

    def with_parameter(self, key: str, value: float, written: str) -> Score:
        """The score of the name `NAME@KEY=VALUE`.

        Raises:
            KeyError: it takes no such parameter.
        """
        function, of_class = self.at[key], written if key == CLASS else None
        made = replace(self, name=f"{self.name}@{key}={written}", function=partial(function, value), at={})
        return made if of_class is None else replace(made, of_class=of_class, by_class=function)

    def among(self, names: Sequence[str] | None) -> Score:
        """The score for outputs with these names: the class in its name is one of them, or else an output's number.

        Raises:
            LookupError: it is neither.
        """
        if self.of_class is None or self.by_class is None or names is None:
            return self
        if self.of_class in names:
            return replace(self, function=partial(self.by_class, names.index(self.of_class)))
        try:
            float(self.of_class)
        except ValueError:
            raise LookupError(self.of_class) from None
        return self
