"""Learning from a model as it was: the frozen teacher, and how far a student's outputs are from the teacher's.

LwF, iCaRL and generative replay use these. `soft_targets` is pure functions of outputs. Only `strategies.methods` and
`strategies.objectives` import from here.
"""

from typing import TYPE_CHECKING

from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from strategies.distillation.soft_targets import sigmoid_cross_entropy, softened_cross_entropy

__all__ = ["sigmoid_cross_entropy", "softened_cross_entropy"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "sigmoid_cross_entropy": ".soft_targets",
        "softened_cross_entropy": ".soft_targets",
    },
)
