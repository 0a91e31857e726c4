"""`everlearn list`: the strategies, datasets and models that a pipeline file may name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pipelines.config.components import Component, Kind

_DETAILS = (
    ("needs", "needs"),
    ("time", "costs time"),
    ("memory", "keeps"),
    ("use_when", "use it when"),
    ("paper", "paper"),
)


@click.command("list", cls=Command, short_help="List strategies, datasets or models.")
@click.argument("kind", type=click.Choice(["strategies", "datasets", "models"]))
@click.argument("name", required=False)
@click.option("--long", "long", is_flag=True, help="With needs, costs, when to use it, and the paper (strategies).")
@json_option
def list_components(kind: Kind, name: str | None, long: bool, as_json: bool) -> None:
    """List the strategies, datasets or models that a pipeline file may name, or one of them by its NAME.

    Beside these, any of them may be given by import path: my_package.module:name.
    """
    from pipelines.config.components import names

    if as_json:
        with reserved_stdout() as stdout:
            print_json([_document(kind, row) for row in _chosen(kind, name, names(kind))], stdout)
        return
    rows = _chosen(kind, name, names(kind))
    if kind == "strategies":
        _print_strategies(rows, long=long or name is not None)
    else:
        console().print(_table(rows))


def _chosen(kind: Kind, name: str | None, rows: Sequence[Component]) -> Sequence[Component]:
    if name is None:
        return rows
    chosen = [row for row in rows if row.name == name]
    if not chosen:
        from pipelines.config.components import resolve

        resolve(kind, name)  # says which names there are
    return chosen


def _document(kind: Kind, row: Component) -> dict[str, Any]:
    return {**row._asdict(), **(_details(row) if kind == "strategies" else {})}


def _details(row: Component) -> dict[str, Any]:
    """What a strategy says of itself beside its summary; null for what it does not say."""
    from pipelines.build import strategy_class
    from pipelines.config.pipeline_errors import PipelineError

    try:
        cls = strategy_class(row.name)
    except PipelineError:
        return {"family": None, "needs": None, "time": None, "memory": None, "use_when": None, "paper": None}
    guide = cls.guide
    return {
        "family": cls.family,
        "needs": list(guide.needs) if guide else None,
        "time": guide.time if guide else None,
        "memory": guide.memory if guide else None,
        "use_when": guide.use_when if guide else None,
        "paper": cls.paper or None,
    }


def _print_strategies(rows: Sequence[Component], *, long: bool) -> None:
    """By family, in the order in which the registry meets them."""
    from rich.padding import Padding

    screen = console()
    families: dict[str, list[tuple[Component, dict[str, Any]]]] = {}
    for row in rows:
        details = _details(row)
        families.setdefault(details["family"] or "cannot be used", []).append((row, details))
    for number, (family, members) in enumerate(sorted(families.items())):
        if number:
            screen.print()
        screen.print(family, style="bold")
        if long:
            for place, (row, details) in enumerate(members):
                screen.print(Padding(_entry(row, details), (1 if place else 0, 0, 0, 2)))
        else:
            screen.print(Padding(_table([row for row, _ in members], width=18, header=False), (0, 0, 0, 2)))
    if not long:
        from orchestrator.cli.support.command_options import program

        screen.print(f"\nneeds, costs and papers: {program()} list strategies NAME, or --long", style="dim")


def _entry(row: Component, details: dict[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=18)
    table.add_column(overflow="fold")
    table.add_row(Text(row.name, style="bold not dim"), row.summary)
    for key, words in _DETAILS:
        value = details[key]
        if value is not None:
            text = (", ".join(value) or "nothing but the experience's own data") if isinstance(value, list) else value
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
