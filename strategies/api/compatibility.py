"""What strategies cannot do, alone, together, in a setting or in an online stream. Only this module decides it.

Everything follows from what the classes declare (`strategies.api.strategy.Strategy` says what each attribute means) and
from the hooks that they override. This module uses no strategy's name, so strategies of a user's package are treated
like the built-in ones. Messages name a strategy as the pipeline file does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from strategies.api.guide import CLASS, ONLINE, SETTINGS, TASK, Limit, Setting
from strategies.api.strategy import Strategy

if TYPE_CHECKING:
    from strategies.objectives.objective import Objective, TargetKind

_ONLY_ONE = {
    "training_set": "choose what to train on",
    "training_loss": "choose the loss",
    "predict": "choose how to classify",
    "restructure": "change the model's structure",
}
"""Hooks whose return value replaces something, so that only one strategy of a pipeline may override each."""


@dataclass(frozen=True)
class Listed:
    """A strategy as a pipeline lists it.

    Attributes:
        kind: its class.
        given: its options; None: its defaults.
        written: its name in the pipeline file; empty: the class's own name.
    """

    kind: type[Strategy]
    given: Any = None
    written: str = ""

    def __post_init__(self) -> None:
        if _overrides(self.kind, "variant"):
            object.__setattr__(self, "kind", self.kind.variant(self.options))

    @property
    def name(self) -> str:
        return self.written or self.kind.name

    @property
    def options(self) -> Any:
        return self.kind.Options() if self.given is None else self.given


def refusals(
    listed: Sequence[Listed],
    objective: str = "classification",
    *,
    targets: TargetKind = "classes",
    changes_loss: bool = False,
) -> list[str]:
    """Why the strategies cannot be used together, or not with the objective; nothing when they can.

    One sentence for each strategy that does not suit the objective, and for each incompatible pair.

    Args:
        objective: what is learned.
        targets: what its targets are.
        changes_loss: its options change the loss, such as class weights.
    """
    unsuited = (_objective_refusal(one, objective, targets) or _loss_refusal(one, changes_loss) for one in listed)
    pairs = (_pair_refusal(one, other) for one, other in itertools.combinations(listed, 2))
    return [reason for reason in (*unsuited, *pairs) if reason is not None]


def learner_refusals(listed: Sequence[Listed], objective: Objective, outputs: int, *, online: bool) -> list[str]:
    """Why a learner with a head of `outputs` units cannot use the strategies and the objective; nothing when it can."""
    changes_loss = objective.options.changes_loss
    refused: list[str | None] = [
        *refusals(listed, objective.name, targets=objective.targets, changes_loss=changes_loss)
    ]
    refused += [online_refusal(one) for one in listed] if online else []
    return [reason for reason in (*refused, objective.problem(outputs, online=online)) if reason is not None]


def online_refusal(one: Listed) -> str | None:
    """Why a strategy cannot learn an online stream with its options, with the remedy, or None."""
    if _overrides(one.kind, "online_problem"):
        return one.kind.online_problem(one.options)
    limit = _online_limit(one.kind)
    if limit is None or not _holds(limit, one, ()):
        return None
    return f"{one.name} {limit.why}: {limit.remedy}"


def blocks_refusal(one: Listed) -> str | None:
    """Why a strategy cannot learn from data that is read by blocks, with the remedy, or None."""
    if one.kind.learns_from_blocks:
        return None
    return (
        f"{one.name} needs all samples of an experience in memory, and in lanes this data is read in blocks: leave "
        "stream.lanes out, or use {name: replay}"
    )


def shard_refusal(one: Listed) -> str | None:
    """Why a strategy cannot train a model that the ranks have shared out, with the remedy, or None."""
    if one.kind.learns_sharded:
        return None
    return (
        f"{one.name} needs whole parameters or gradients in its steps, and with scaling.shard each worker holds a part "
        "of them: leave scaling.shard out, or use {name: replay}"
    )


def warnings(listed: Sequence[Listed], setting: Setting) -> list[list[str]]:
    """What each strategy cannot do in a setting beside the others, each with its remedy.

    Returns:
        A list for each strategy, in their order; empty where there is nothing to say.
    """
    found = []
    for place, one in enumerate(listed):
        others = [*listed[:place], *listed[place + 1 :]]
        limit = _limit(one.kind, setting)
        said = []
        if limit is not None and _holds(limit, one, others):
            said.append(f"{one.name} {limit.why} ({setting}): {limit.remedy}")
        said += one.kind.problems(one.options, setting=setting, others=[other.name for other in others])
        found.append(said)
    return found


def limits(kind: type[Strategy]) -> dict[str, str]:
    """What a strategy cannot do alone, and the remedy, by setting and `online`, where there is anything to say.

    This is for showing: with some options, or beside some strategies, a limit may not hold. Each text continues a
    sentence that begins with the strategy's name.
    """
    found: dict[str, Limit | None] = {setting: _limit(kind, setting) for setting in SETTINGS}
    found[ONLINE] = _online_limit(kind)
    return {where: f"{limit.why}: {limit.remedy}" for where, limit in found.items() if limit is not None}


def _online_limit(kind: type[Strategy]) -> Limit | None:
    if ONLINE in kind.limits:
        return kind.limits[ONLINE]
    if not _overrides(kind, "training_set"):
        return None
    return Limit(
        "chooses what to train on, and an online stream shows each sample once as it comes",
        "leave stream.online out, or use {name: replay}",
    )


def _limit(kind: type[Strategy], setting: Setting) -> Limit | None:
    """The limit that a strategy declares for a setting, or that follows from its other declarations."""
    if setting in kind.limits:
        return kind.limits[setting]
    if setting == CLASS and kind.needs_rehearsal_on_shared_head:
        remedy = "use {name: replay} with the same memory" if kind.keeps_samples else "add {name: replay}"
        return Limit(
            "alone forgets on one head that all classes share",
            f"{remedy}, or use setting: task-incremental",
            lifted_by="rehearses",
        )
    if setting != TASK and kind.needs_task_labels:
        return Limit("needs the task of each test sample, which is not given", "use setting: task-incremental")
    return None


def _holds(limit: Limit, one: Listed, others: Sequence[Listed]) -> bool:
    if limit.lifted_by and any(getattr(other.kind, limit.lifted_by) for other in others):
        return False
    # A subclass with options of its own may lack this option of the class that declares the limit.
    return all(getattr(one.options, option, None) == value for option, value in limit.only_with.items())


def setting_refusal(objective: type[Objective], setting: Setting) -> str | None:
    """Why an objective cannot be learned in a setting, with the remedy, or None."""
    if setting in objective.settings:
        return None
    return f"{objective.name} has no classes that could come one after the other: use {' or '.join(objective.settings)}"


def _objective_refusal(one: Listed, objective: str, targets: TargetKind) -> str | None:
    suited = one.kind.objectives
    if suited is None or objective in suited:
        if not _overrides(one.kind, "objective_problem"):
            return None
        problem = one.kind.objective_problem(one.options, targets)
        return None if problem is None else f"{one.name} {problem}"
    return f"{one.name} is for {' and '.join(suited)}, not for {objective}: use {{name: replay}}, which suits any"


def _loss_refusal(one: Listed, changes_loss: bool) -> str | None:
    if not changes_loss or not one.kind.trains_other_loss:
        return None
    return (
        f"{one.name} trains a loss of its own, on which the options of objective have no effect: leave them out, or "
        "use {name: replay}"
    )


def _pair_refusal(one: Listed, other: Listed) -> str | None:
    for first, second in ((one, other), (other, one)):
        reason = first.kind.conflict(second.kind)
        if reason is not None:
            return reason
    for rule in _RULES:
        for first, second in ((one, other), (other, one)):
            reason = rule(first, second)
            if reason is not None:
                return reason
    for hook, what in _ONLY_ONE.items():
        if all(_overrides(kind, hook) for kind in (one.kind, other.kind)):
            return f"{one.name} and {other.name} both {what}: keep one of them"
    return None


def _overrides(kind: type[Strategy], hook: str) -> bool:
    own, default = getattr(kind, hook), getattr(Strategy, hook)
    return getattr(own, "__func__", own) is not getattr(default, "__func__", default)


# ---------------------------------------------------------------- rules for pairs
# Each rule says why `one` cannot be listed with `other`, or None; it is called for both orders of the pair.


def _starts_afresh(one: Listed, other: Listed) -> str | None:
    kind = other.kind
    if not one.kind.starts_afresh or not (kind.rehearses or kind.needs_fixed_structure or kind.freezes_features):
        return None
    how = "trains a new model from its memory" if one.kind.keeps_samples else "starts each experience afresh"
    return f"{one.name} {how}, so {other.name} has nothing to keep: use one of them"


def _trains_nothing(one: Listed, other: Listed) -> str | None:
    if not one.kind.trains_nothing:
        return None
    return f"{one.name} does not train the model, so {other.name} has nothing to do: use one of them"


def _freezes_answers(one: Listed, other: Listed) -> str | None:
    kind = other.kind
    acts = kind.works_on_past_answers or kind.needs_fixed_structure or kind.freezes_features
    if not one.kind.freezes_answers or not acts:
        return None
    return (
        f"{one.name} never changes what an experience has learned, so {other.name} has nothing to add: "
        "use one of them, or {name: replay}"
    )


def _freezes_features(one: Listed, other: Listed) -> str | None:
    if not one.kind.freezes_features or not other.kind.needs_fixed_structure:
        return None
    return (
        f"{one.name} changes the model's structure and freezes what it has learned, {other.name} needs the model's "
        f"structure unchanged: use one of them, or {{name: replay}} with {one.name}"
    )


def _adds_parts(one: Listed, other: Listed) -> str | None:
    # An adapted model still has a head, and a newest adapter, that answer for the past.
    acts = other.kind.works_on_past_answers and not one.kind.adapts_model
    if not one.kind.adds_parts or not (other.kind.starts_afresh or acts):
        return None
    return (
        f"{one.name} never changes what it added for an experience, so {other.name} has nothing to work on: "
        "use one of them"
    )


def _projects_twice(one: Listed, other: Listed) -> str | None:
    if not (one.kind.projects_gradients and other.kind.projects_gradients):
        return None
    return (
        f"{one.name} and {other.name} project the same gradient, the second may undo what the first ensures: "
        "use one of them"
    )


def _other_loss(one: Listed, other: Listed) -> str | None:
    if not one.kind.trains_other_loss or not other.kind.projects_gradients:
        return None
    return (
        f"{other.name} keeps the cross entropy on the past from rising, and {one.name} trains another loss: "
        "use one of them"
    )


def _includes(one: Listed, other: Listed) -> str | None:
    if not issubclass(other.kind, one.kind.includes):
        return None
    return f"{one.name} does what {other.name} does already, which would only be done twice: use one of them"


def _no_origin(one: Listed, other: Listed) -> str | None:
    if not one.kind.needs_sample_origin or not other.kind.generates_samples:
        return None
    return (
        f"{one.name} must know which experience a sample comes from, and samples that {other.name} generates come from "
        "no experience: use one of them"
    )


_RULES: tuple[Callable[[Listed, Listed], str | None], ...] = (
    _starts_afresh,
    _trains_nothing,
    _freezes_answers,
    _freezes_features,
    _adds_parts,
    _projects_twice,
    _other_loss,
    _includes,
    _no_origin,
)
