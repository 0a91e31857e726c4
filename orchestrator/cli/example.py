"""`everlearn example`: the example pipeline files, and one of them to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, json_option, program
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from pipelines.config.example_files import Example


@click.command("example", cls=Command, short_help="List the example files, or write one here.")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--force", is_flag=True, help="Replace a file of the same name.")
@click.option("--all", "with_papers", is_flag=True, help="List the protocols of papers, too.")
@json_option
def example(name: str | None, force: bool, with_papers: bool, as_json: bool) -> None:
    """List the example pipeline files. With NAME: write this one, and the modules that it needs, into the working
    directory.

    A file that is there already is kept, unless --force is given. The list leaves out the protocols of papers, which
    are for everlearn compare, unless --all is given; --json lists everything.
    """
    if as_json:
        with reserved_stdout() as stdout:
            print_json(_list() if name is None else _write(name, force), stdout)
        return
    if name is not None:
        written = _write(name, force)
        say(f"wrote    {', '.join(written['written'])}")
        say(f"data     {written['dataset']}: {written['data']}")
        for command in written["commands"]:
            say(f"next     {program()} {command}")
        return
    from pipelines.config.example_files import examples

    found, screen = examples(), console()
    screen.print(_table([one for one in found if not one.published]))
    papers = [one for one in found if one.published]
    if with_papers:
        screen.print("\nThe protocols of papers, with their numbers (for everlearn compare):\n", style="dim")
        screen.print(_table(papers))
    else:
        screen.print(f"\nand {len(papers)} protocols of papers: {program()} example --all", style="dim")
    screen.print(f"write one here: {program()} example NAME", style="dim")


def _list() -> list[dict[str, Any]]:
    from pipelines.config.example_files import examples

    return [
        {"name": one.name, "summary": one.summary, "dataset": one.dataset, "published": one.published}
        for one in examples()
    ]


def _write(name: str, force: bool) -> dict[str, Any]:
    from pipelines.config.components import component
    from pipelines.config.example_files import find_example, write_example

    found = find_example(name)
    written = write_example(found, Path.cwd(), overwrite=force)
    verbs = ["compare"] if found.published else ["run", "tune"] if found.tunes else ["run"]
    return {
        "name": found.name,
        "written": [file.name for file in written],
        "dataset": found.dataset,
        "data": component("datasets", found.dataset).summary,
        "commands": [f"{verb} {written[0].name}" for verb in verbs],
    }


def _table(rows: Sequence[Example]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("example", no_wrap=True, style="bold", min_width=max(len(one.name) for one in rows))
    table.add_column("what it shows")
    for one in rows:
        table.add_row(one.name, one.summary)
    return table
