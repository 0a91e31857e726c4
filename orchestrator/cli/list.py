"""`everlearn list`: the strategies, datasets, models and objectives of a pipeline file, and the options of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import click

from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pipelines.config.components import Component, Kind

_DETAILS = (
    ("needs", "needs"),
    ("objectives", "for"),
    ("time", "costs time"),
    ("memory", "keeps"),
    ("use_when", "use it when"),
    ("paper", "paper"),
)
_KEYS = {
    "strategies": "strategy",
    "datasets": "stream.dataset",
    "models": "model",
    "objectives": "objective",
    "scores": "score, metrics",
}
_KINDS = tuple(_KEYS)


@click.command("list", cls=Command, short_help="List strategies, datasets, models, objectives or scores.")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("name", required=False)
@click.option("--long", "long", is_flag=True, help="Add needs, costs, when to use it, and the paper (strategies).")
@json_option
def list_components(
    kind: Literal["strategies", "datasets", "models", "objectives", "scores"],
    name: str | None,
    long: bool,
    as_json: bool,
) -> None:
    """List the strategies, datasets, models, objectives or scores that a pipeline file may name.

    With NAME: describe this one, and its options with their types, defaults and meanings. NAME may also be the import
    path of a component of your own: my_package.module:Name.
    """
    if as_json:
        with reserved_stdout() as stdout:
            print_json([_document(kind, row) for row in _rows(kind, name)], stdout)
        return
    rows = _rows(kind, name)
    if kind == "scores":
        console().print(_score_facts(rows[0]) if name is not None else _table(rows))
    elif name is not None:
        _print_one(kind, rows[0])
    elif kind == "strategies":
        _print_strategies(rows, long=long)
    else:
        console().print(_table(rows))
    if name is None:
        from orchestrator.cli.support.command_options import program

        more = "needs, costs, papers and options" if kind == "strategies" else "options"
        console().print(f"\n{more}: {program()} list {kind} NAME", style="dim")


def _rows(kind: str, name: str | None) -> Sequence[Component]:
    from pipelines.config import components

    known = cast("Kind", kind)
    if kind == "scores":
        return _score_rows(name)
    return components.names(known) if name is None else [components.component(known, name)]


def _document(kind: str, row: Component) -> dict[str, Any]:
    if kind == "scores":
        return {**row._asdict(), **dict(_score_details(row.name))}
    document = {**row._asdict(), **(_details(row) if kind == "strategies" else {})}
    from pipelines.config.option_list import component_options
    from pipelines.config.pipeline_errors import PipelineError

    try:
        found = component_options(cast("Kind", kind), row.name)
    except PipelineError:
        return document | {"options": None}
    return document | {"options": [option._asdict() for option in found.options], "other_options": found.others}


def _score_rows(name: str | None) -> list[Component]:
    from pipelines.config.components import Component, resolve
    from pipelines.config.pipeline_errors import PipelineError
    from strategies.metrics import all_scores, declare, find_score

    if name is None:
        return [Component(one.name, f"{one.meaning} ({', '.join(one.objectives)})", "built-in") for one in all_scores()]
    score = declare(resolve("scores", name)) if ":" in name else find_score(name)
    if score is None:
        raise PipelineError(f"unknown score '{name}'. Known: {', '.join(one.name for one in all_scores())}")
    return [Component(score.name, score.meaning, "import path" if ":" in name else "built-in")]


def _score_details(name: str) -> list[tuple[str, Any]]:
    from strategies.metrics import find_score
    from strategies.metrics.score import value_of

    score = find_score(name)
    assert score is not None
    return [
        ("objectives", list(score.objectives)),
        ("unit", score.unit),
        ("better", score.better),
        ("definition", score.definition),
        ("source", score.source),
        ("parameters", [f"{score.name}@{key}={value_of(key)}" for key in score.at]),
    ]


def _score_facts(row: Component) -> RenderableType:
    facts = [(words, ", ".join(v) if isinstance(v, list) else v) for words, v in _score_details(row.name) if v]
    return _facts(row, [(row.name, row.summary), ("in a file", _KEYS["scores"]), *facts])


def _print_one(kind: str, row: Component) -> None:
    from rich.padding import Padding

    screen = console()
    details = _details(row) if kind == "strategies" else {}
    screen.print(row.name, style="bold", soft_wrap=True)
    screen.print(row.summary)
    facts = [("in a file", _KEYS[kind])]
    facts += [("family", details["family"])] if details.get("family") else []
    screen.print(Padding(_facts(row, facts + _guide(details)), (1, 0, 0, 2)))

    from orchestrator.cli.support.option_table import option_table
    from pipelines.config.option_list import component_options

    found = component_options(cast("Kind", kind), row.name)
    screen.print()
    if not found.options and not found.others:
        screen.print("It has no options.")
        return
    screen.print("options", style="bold")
    for option in found.options:
        screen.print(Padding(option_table(option), (0, 0, 0, 2)))
    if found.others:
        screen.print("  Any further key is passed on to it.")


def _details(row: Component) -> dict[str, Any]:
    """What a strategy declares beside its summary; None for what it does not declare."""
    from pipelines.build import strategy_class
    from pipelines.config.pipeline_errors import PipelineError
    from strategies.api.compatibility import limits
    from strategies.api.guide import needs

    try:
        cls = strategy_class(row.name)
    except PipelineError:
        return dict.fromkeys(("family", "needs", "objectives", "time", "memory", "use_when", "limits", "paper"))
    guide, needed = cls.guide, needs(cls)
    return {
        "family": cls.family,
        "needs": list(needed) if needed or guide else None,
        "objectives": None if cls.objectives is None else list(cls.objectives),
        "time": guide.time if guide else None,
        "memory": guide.memory if guide else None,
        "use_when": guide.use_when if guide else None,
        "limits": limits(cls),
        "paper": cls.paper or None,
    }


def _print_strategies(rows: Sequence[Component], *, long: bool) -> None:
    """The strategies by family, in alphabetical order."""
    from rich.padding import Padding

    screen = console()
    families: dict[str, list[Component]] = {}
    for row in rows:
        families.setdefault(_family(row) or "unavailable", []).append(row)
    for number, (family, members) in enumerate(sorted(families.items())):
        if number:
            screen.print()
        screen.print(family, style="bold")
        if long:
            for place, row in enumerate(members):
                screen.print(Padding(_entry(row, _details(row)), (1 if place else 0, 0, 0, 2)))
        else:
            screen.print(Padding(_table(members, width=18, header=False), (0, 0, 0, 2)))


def _family(row: Component) -> str:
    from pipelines.config.components import strategy_family
    from pipelines.config.pipeline_errors import PipelineError

    try:
        return strategy_family(row.name)
    except PipelineError:
        return ""


def _entry(row: Component, details: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    return _facts(row, [(Text(row.name, style="bold not dim"), row.summary), *_guide(details)])


def _guide(details: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for part, words in _DETAILS:
        value = details.get(part)
        if value is not None:
            text = (", ".join(value) or "nothing but the experience's own data") if isinstance(value, list) else value
            found.append((words, text))
    return found + list((details.get("limits") or {}).items())


def _facts(row: Component, facts: Sequence[tuple[RenderableType, str]]) -> RenderableType:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=18)
    table.add_column(overflow="fold")
    for words, text in facts:
        table.add_row(words, text)
    if row.origin != "built-in":
        table.add_row("from", row.origin)
    return table


def _table(rows: Sequence[Component], *, width: int = 0, header: bool = True) -> RenderableType:
    from rich.table import Table

    foreign = any(row.origin != "built-in" for row in rows)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", show_header=header)
    table.add_column("name", no_wrap=True, style="bold", min_width=width)
    table.add_column("what it is")
    if foreign:
        table.add_column("from", style="dim", no_wrap=True)
    for row in rows:
        table.add_row(row.name, row.summary, *([row.origin] if foreign else []))
    return table
