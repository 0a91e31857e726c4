"""The reference pages of strategies, datasets, models and objectives, from what each declares of itself."""

from __future__ import annotations

from generators.docstrings import docstring
from generators.option_table import option_table
from pipelines.config.components import BUILT_IN, Kind, resolve
from pipelines.config.option_list import component_options
from strategies.api.compatibility import Listed, limits, refusals
from strategies.api.guide import ONLINE, SETTINGS, needs
from strategies.api.strategy import Strategy

_HEADS: dict[Kind, str] = {
    "strategies": """# Strategies

A pipeline lists one strategy or several; they compose in the order of the list. Pairs that cannot work together are
refused with the reason. `everlearn recommend FILE` says which of them fit a file; `everlearn list strategies NAME`
prints one of these entries. How to write one: [your own strategy](../tutorials/own-strategy.md).

""",
    "datasets": """# Datasets

`stream.dataset` names one of these, or a function of your own:
[your own data and model](../tutorials/own-data-and-model.md).

""",
    "models": """# Models

`model` names one of these, or a class of your own: [your own data and model](../tutorials/own-data-and-model.md).

""",
    "objectives": """# Objectives

`objective` names one of these, or a class of your own that derives from `strategies.objectives.objective.Objective`.
Without it a pipeline learns `classification`, with the plain cross entropy.

""",
}
_WHERE = {setting: f"In a {setting} stream" for setting in SETTINGS} | {ONLINE: "In an online stream"}
_GUIDE = (("time", "Costs time"), ("memory", "Keeps"), ("use_when", "Use it when"))


def page(kind: Kind) -> str:
    """The page of one kind of component in Markdown."""
    return _HEADS[kind] + "".join(_entry(kind, name) for name in _order(kind))


def _order(kind: Kind) -> list[str]:
    names = list(BUILT_IN[kind])
    return sorted(names, key=lambda name: (resolve(kind, name).family, name)) if kind == "strategies" else names


def _entry(kind: Kind, name: str) -> str:
    component = resolve(kind, name)
    found = component_options(kind, name)
    options = option_table(found, name) if found.options else "No options.\n"
    facts = _strategy_facts(name, component) if kind == "strategies" else ""
    text = docstring(component).text.replace("*", "\\*")
    return f"## `{name}`\n\n{facts}{text}\n\n{options}\n"


def _strategy_facts(name: str, strategy: type[Strategy]) -> str:
    """What a strategy declares of itself, as a list."""
    guide = strategy.guide
    lines = [f"**{strategy.summary}.**", "", f"- Family: {strategy.family}"]
    lines.append(f"- Needs: {', '.join(needs(strategy)) or 'the data of the experience only'}")
    if guide is not None:
        lines += [f"- {title}: {getattr(guide, key)}" for key, title in _GUIDE]
    if strategy.objectives is not None:
        lines.append(f"- Objectives: {', '.join(strategy.objectives)}")
    lines += [f"- {_WHERE.get(where, where)}: {name} {text}" for where, text in limits(strategy).items()]
    lines.append(f"- Cannot be listed beside: {', '.join(f'`{other}`' for other in _refused(strategy)) or 'none'}")
    lines.append(f"- Import path: `{strategy.__module__}:{strategy.__qualname__}`")
    return "\n".join(lines) + (f"\n- Paper: {strategy.paper}\n\n" if strategy.paper else "\n\n")


def _refused(strategy: type[Strategy]) -> list[str]:
    """The built-in strategies that it cannot be listed beside."""
    others = {name: resolve("strategies", name) for name in BUILT_IN["strategies"]}
    return [n for n, other in others.items() if other is not strategy and refusals([Listed(strategy), Listed(other)])]
