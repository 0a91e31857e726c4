"""The `evaluate` part of a pipeline file: on which test sets each commit is evaluated."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.config.sections.section import Count, Spec
from strategies.api.influence import LEARNED


class EvaluateSpec(Spec):
    """On which test sets each model of a long stream is evaluated: those of the last `window` experiences and of the
    next one, and after every `every`-th experience up to `window` older ones, evenly spaced, in turn.

    Without this section, on all test sets after each experience, which grows with the square of the stream's length.

    Attributes:
        window: experiences whose test sets are used after each experience, the newest included.
        every: after every so many experiences, up to `window` older test sets are used, too.
    """

    window: Annotated[Count, LEARNED] = 50
    every: Annotated[int, Field(ge=1), LEARNED] = 10

    def experiences(self, index: int, length: int) -> list[int]:
        """The experiences whose test sets are used after experience `index` of a stream of `length`, ascending.

        Not more than 2 * window + 1 of them. Those up to `index` do not depend on `length`.
        """
        first = max(0, index + 1 - self.window)
        found = list(range(first, min(index + 2, length)))
        turn, left = divmod(index + 1, self.every)
        if left or not first:
            return found
        stride = -(-first // self.window)
        return [*range(turn % stride, first, stride), *found]


def evaluated(spec: EvaluateSpec | None, index: int, length: int) -> list[int]:
    """As `EvaluateSpec.experiences`; without a section, all of them."""
    return list(range(length)) if spec is None else spec.experiences(index, length)
