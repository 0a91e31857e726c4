"""The reference pages of strategies, datasets and models, from what each declares of itself."""

from __future__ import annotations

from typing import Any

from generators.docstrings import docstring, entries
from generators.option_table import option_table
from pipelines.config.component_options import options_model
from pipelines.config.components import BUILT_IN, Kind, resolve

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
}
_GUIDE = (("time", "Costs time"), ("memory", "Keeps"), ("use_when", "Use it when"))


def page(kind: Kind) -> str:
    """The page of one kind of component in Markdown."""
    return _HEADS[kind] + "".join(_entry(kind, name) for name in _order(kind))


def _order(kind: Kind) -> list[str]:
    names = list(BUILT_IN[kind])
    return sorted(names, key=lambda name: (resolve(kind, name).family, name)) if kind == "strategies" else names


def _entry(kind: Kind, name: str) -> str:
    component = resolve(kind, name)
    model = options_model(kind, name)
    told = entries(docstring(component).sections.get("Args", ""))
    if isinstance(component, type):
        told |= entries(docstring(component.__init__).sections.get("Args", ""))
    # Fields that were made from a signature have the option's name as their alias.
    options = option_table(model, told=told) if model.model_fields else "No options.\n"
    facts = _strategy_facts(component) if kind == "strategies" else ""
    text = docstring(component).text.replace("*", "\\*")
    return f"## `{name}`\n\n{facts}{text}\n\n{options}\n"


def _strategy_facts(strategy: Any) -> str:
    """The family, needs, costs and paper of a strategy as a list."""
    guide = strategy.guide
    lines = [f"**{strategy.summary}.**", "", f"- Family: {strategy.family}"]
    if guide is not None:
        lines.append(f"- Needs: {', '.join(guide.needs) or 'the data of the experience only'}")
        lines += [f"- {title}: {getattr(guide, key)}" for key, title in _GUIDE]
    lines.append(f"- Import path: `{strategy.__module__}:{strategy.__qualname__}`")
    return "\n".join(lines) + (f"\n- Paper: {strategy.paper}\n\n" if strategy.paper else "\n\n")
