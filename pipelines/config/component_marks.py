"""Decorators that mark a function or class of an installed package as a dataset or a model of pipeline files.

A name in a pipeline file must not be enough to call any function of any library. Your own modules beside the pipeline
file need no mark, strategies are marked by their base class, and entry points are marks too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

C = TypeVar("C", bound=Callable[..., Any])

_MARK = "__everlearn_component__"


def dataset(function: C) -> C:
    """Mark a function or class that returns a dataset, so that pipeline files may name it by its import path.

    Needed only in an installed package; entry points of the group `everlearn.datasets` need no mark.
    """
    return _marked(function, "datasets")


def model(function: C) -> C:
    """Mark a function or class that returns a torch module, so that pipeline files may name it by its import path.

    Needed only in an installed package; entry points of the group `everlearn.models` need no mark.
    """
    return _marked(function, "models")


def is_marked(component: Any, kind: str) -> bool:
    """Whether `component` itself carries the mark of `kind`; a subclass of a marked class does not."""
    held = getattr(component, "__dict__", {})
    return isinstance(held.get(_MARK), str) and held[_MARK] == kind


def _marked(component: C, kind: str) -> C:
    setattr(component, _MARK, kind)
    return component
