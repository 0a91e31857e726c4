"""Reading a network's structure from the names and shapes of its stored state, which may hold anything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

_MOST = 10_000


def stored_count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many modules are called `<prefix>.<number>.<...>`, numbered from 0.

    Raises:
        ValueError: a number is left out, so that they cannot be counted.
    """
    numbered = re.compile(re.escape(prefix) + r"\.(0|[1-9][0-9]{0,4})\.")
    found = {int(match[1]) for match in map(numbered.match, state) if match}
    if len(found) > _MOST or found != set(range(len(found))):
        raise ValueError(f"its {prefix} are not numbered one by one")
    return len(found)


def require(state: Mapping[str, Tensor], prefix: str, module: nn.Module) -> None:
    """Check that the state has all tensors of a module, in their shapes, before the module is made.

    Args:
        prefix: prefix of their names, with the dot.

    Raises:
        ValueError: one is missing or has another shape.
    """
    for name, tensor in _tensors(module):
        stored = state.get(prefix + name)
        if stored is None or stored.shape != tensor.shape:
            found = "is missing" if stored is None else f"has shape {list(stored.shape)}"
            raise ValueError(f"{prefix}{name} {found}, {list(tensor.shape)} is needed")


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return ((name, value) for name, value in module.state_dict().items() if isinstance(value, Tensor))
