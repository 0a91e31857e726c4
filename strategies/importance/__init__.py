"""How much each parameter matters for what was learned, and the penalty that follows from it.

`fisher` is the diagonal of the Fisher information, exact per sample by `per_sample_gradients`; `mean_importance` is the
mean of any per-sample statistic; `quadratic_penalty` holds parameters near their anchors. Pure functions beside small
classes. Only `strategies.methods` and `orchestrator.training` import from here.
"""

from typing import TYPE_CHECKING

from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from strategies.importance.fisher import diagonal_fisher
    from strategies.importance.per_sample_mean import mean_importance, mean_moment

__all__ = ["diagonal_fisher", "mean_importance", "mean_moment"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "diagonal_fisher": ".fisher",
        "mean_importance": ".per_sample_mean",
        "mean_moment": ".per_sample_mean",
    },
)
