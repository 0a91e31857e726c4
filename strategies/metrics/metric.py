"""What a metric is: one record, from which everything that names, shows or searches it is derived."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from strategies.metrics.evidence import Evidence

Unit = Literal["fraction", "signed fraction", "number", "signed number", "count", "bytes", "seconds"]
Better = Literal["higher", "lower"]
Scope = Literal["matrix", "reference", "answers", "scores", "cost"]


@dataclass(frozen=True)
class Metric:
    """One metric of a stream, after each of its experiences.

    Attributes:
        name: in `--json`, in MLflow and for `tune.metric`; shown to a person with spaces.
        unit: fractions are shown in percent, signed ones with their sign; numbers in a unit of their own as they are.
        better: the direction of improvement.
        scope: what it is computed from: the score `matrix`; a `reference`, which is joint training; the `answers` to
            each test sample; further `scores` of the test sets; the `cost` of model, memory and training.
        function: computes it from what is known after experience k; NaN where it is not defined or not known. It should
            take time that grows with R[k, 0..k] alone, because it is called after every experience.
        meaning: for a person at a terminal, at most 36 characters.
        definition: the formula (R[i, j]: score on j after training on i; b: untrained; k: the last).
        source: the paper, or how it is measured.
    """

    name: str
    unit: Unit
    better: Better
    scope: Scope
    function: Callable[[Evidence], float]
    meaning: str
    definition: str
    source: str

    @property
    def title(self) -> str:
        """The name as words."""
        return self.name.replace("_", " ")

    @property
    def mode(self) -> Literal["max", "min"]:
        """Whether a search maximises or minimises it."""
        return "max" if self.better == "higher" else "min"

    @property
    def is_fraction(self) -> bool:
        """Whether it is shown in percent."""
        return self.unit in ("fraction", "signed fraction")

    @property
    def is_score(self) -> bool:
        """Whether it says how good the model is, and not what it costs."""
        return self.is_fraction or self.unit in ("number", "signed number")

    def value(self, evidence: Evidence) -> float | None:
        """The metric after an experience; None where it is not defined or not known."""
        value = self.function(evidence)
        if math.isnan(value):
            return None
        # NumPy numbers cannot be written as JSON; counts stay whole numbers.
        return value if isinstance(value, int) else float(value)
