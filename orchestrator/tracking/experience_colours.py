"""The colour of each experience, the same in the figures and in MLflow's charts."""

from collections.abc import Sequence
from functools import lru_cache

# Okabe & Ito's colours, which people with any colour vision can distinguish, without yellow, which is faint on white,
# and two more.
FEW = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#5f6b3c")
# The lightest end of the scale is invisible on white.
PALEST = 0.92


@lru_cache(maxsize=4)
def experience_colours(length: int) -> Sequence[str]:
    """A colour for each experience as #rrggbb: distinct ones for a few, from dark to light for many."""
    if length <= len(FEW):
        return FEW[:length]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    scale = colormaps["viridis"]  # a copy, each time
    return tuple(to_hex(scale(PALEST * j / (length - 1))) for j in range(length))
