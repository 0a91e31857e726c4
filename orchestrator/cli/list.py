"""`everlearn list`: the strategies, datasets and models that a pipeline file may name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Command, json_option
from orchestrator.cli.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from pipelines.components import Kind


@click.command("list", cls=Command, short_help="List strategies, datasets or models.")
@click.argument("kind", type=click.Choice(["strategies", "datasets", "models"]))
@json_option
def list_components(kind: Kind, as_json: bool) -> None:
    """List the strategies, datasets or models that a pipeline file may name.

    Beside these, any of them may be given by import path: my_package.module:name.
    """
    from pipelines.components import names

    if as_json:
        with reserved_stdout() as stdout:
            print_json([row._asdict() for row in names(kind)], stdout)
        return

    from rich.table import Table

    rows = names(kind)
    foreign = any(row.origin != "built-in" for row in rows)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("what it does" if kind == "strategies" else "what it is")
    if foreign:
        table.add_column("from", style="dim", no_wrap=True)
    for row in rows:
        table.add_row(row.name, row.summary, *([row.origin] if foreign else []))
    console().print(table)
