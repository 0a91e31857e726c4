"""Gradients that must not point against the past: reference gradients, and projections that satisfy them.

GEM and A-GEM use these. `gradient_projection` is pure mathematics on lists of tensors. Only `strategies.methods`
imports from here.
"""

from typing import TYPE_CHECKING

from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from strategies.projection.gradient_projection import project, project_off

__all__ = ["project", "project_off"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "project": ".gradient_projection",
        "project_off": ".gradient_projection",
    },
)
