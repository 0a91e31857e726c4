"""Which strategies of a list override a hook; a hook that no strategy overrides costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strategies.api.strategy import Strategy


def overriding(strategies: Sequence[Strategy], hook: str) -> list[Any]:
    """The bound methods called `hook` of the strategies that override it, in their order."""
    return [getattr(s, hook) for s in strategies if getattr(type(s), hook) is not getattr(Strategy, hook)]
