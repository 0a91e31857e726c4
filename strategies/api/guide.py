"""What a person has to know to choose a strategy, as plain data: for `everlearn list strategies`, refusals and docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from strategies.api.strategy import Strategy

Setting = Literal["class-incremental", "task-incremental", "domain-incremental"]
CLASS: Setting = "class-incremental"
TASK: Setting = "task-incremental"
DOMAIN: Setting = "domain-incremental"
SETTINGS: tuple[Setting, ...] = (CLASS, TASK, DOMAIN)
ONLINE = "online"
"""Key of a strategy's `limits` for what it cannot do in an online stream, in any setting."""

NEEDS = ("memory", "old data", "task labels")
"""Rehearsal samples that are kept, all data of the past, or the task of a test sample (given, or inferred)."""


@dataclass(frozen=True)
class Guide:
    """The cost of one strategy, and when to use it.

    Attributes:
        time: cost per experience, beside plain training.
        memory: what is kept from one experience to the next.
        use_when: when to use it.
    """

    time: str
    memory: str
    use_when: str


@dataclass(frozen=True)
class Limit:
    """What a strategy cannot do in a setting, or in an online stream.

    Attributes:
        why: continues a sentence that begins with the strategy's name: "makes features alike in all experiences, ...".
        remedy: what to do instead, as an instruction: "use {name: replay}".
        only_with: values of options with which it holds; empty: with any.
        lifted_by: a capability, an attribute of `Strategy`, that another strategy of the pipeline must have for the
            limit not to hold; empty: no capability lifts it.
    """

    why: str
    remedy: str
    only_with: Mapping[str, Any] = field(default_factory=dict)
    lifted_by: str = ""


def needs(kind: type[Strategy]) -> tuple[str, ...]:
    """What a strategy needs besides the experience's own data, as entries of `NEEDS`, in their order."""
    declared = (kind.keeps_samples, kind.needs_old_data, kind.needs_task_labels)
    return tuple(need for need, needed in zip(NEEDS, declared, strict=True) if needed)
