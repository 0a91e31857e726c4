"""A model's state in parts, so that parts that never change again are stored once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

MODEL = "model"
"""The group of what is in no part; there always is one, also where it is empty."""


def split_model(
    state: Mapping[str, Tensor], parts: Mapping[str, str | Collection[str]]
) -> dict[str, dict[str, Tensor]]:
    """The groups `model.<part>`, with the tensors of each part, and `model` with the others.

    Args:
        state: the model's state.
        parts: what the names of a part's tensors begin with, or all its names; no tensor is in two parts.
    """
    groups: dict[str, dict[str, Tensor]] = {MODEL: dict(state)}
    for part, prefix in parts.items():
        there = groups[MODEL]
        names = [n for n in there if (n.startswith(prefix) if isinstance(prefix, str) else n in prefix)]
        groups[f"{MODEL}.{part}"] = {name: groups[MODEL].pop(name) for name in names}
    return groups


def join_model(groups: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The model's state from the groups of `split_model`, among others.

    Raises:
        KeyError: there is none.
        ValueError: a tensor is in two of them.
    """
    joined = dict(groups[MODEL])
    for name in model_groups(groups):
        if joined.keys() & groups[name].keys():
            raise ValueError(f"{name} holds tensors that the model has elsewhere")
        joined |= groups[name]
    return joined


def model_groups(groups: Mapping[str, object]) -> list[str]:
    """The names of a model's parts among the names of all groups."""
    return [name for name in groups if name.startswith(f"{MODEL}.")]
