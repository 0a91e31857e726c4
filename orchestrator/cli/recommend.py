"""`everlearn recommend`: which strategies fit a pipeline file, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import (
    Command,
    as_arguments,
    file_argument,
    json_option,
    load,
    program,
    set_option,
)
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from rich.table import Table

    from pipelines.recommendation import Recommendation, Situation, Suggestion


@click.command("recommend", cls=Command, short_help="Show which strategies fit FILE, and why.")
@file_argument()
@set_option
@click.option(
    "--memory",
    type=click.IntRange(min=0),
    metavar="SAMPLES",
    help="Past samples that may be stored, 0 for none; by default as many as the strategies of FILE store.",
)
@click.option("--few-shot", "few", is_flag=True, help="An experience has few samples, such as 16 of a class.")
@json_option
def recommend(file: str, overrides: tuple[str, ...], memory: int | None, few: bool, as_json: bool) -> None:
    """Show which strategies fit FILE, best first, with the reasons for them and against the others.

    The recommendation depends on the setting of the stream, on whether it is online, on how many past samples may be
    stored, on whether test samples have task labels, and, for a model that starts from trained weights, on what it is
    for: fine-tuning, few samples, domain adaptation, a language model, or continual pretraining. Figures are those of
    the papers, in their own protocols.
    """
    if as_json:
        with reserved_stdout() as stdout:
            print_json(_recommend(file, overrides, memory, few).to_json(), stdout)
        return
    found = _recommend(file, overrides, memory, few)
    screen = console()
    screen.print(_situation(found.situation), soft_wrap=True, markup=False, highlight=False)
    screen.print()
    for rank, suggestion in enumerate(found.suggestions, 1):
        screen.print(_entry(rank, suggestion))
        screen.print()
    if not found.suggestions:
        screen.print("No strategy fits: change the setting, or allow past samples to be stored (--memory).\n")
    screen.print("not recommended", style="bold")
    screen.print(_others(found))
    if found.snippet:
        screen.print("\nthe first one, to paste into the file:\n", style="dim")
        screen.print(found.snippet, soft_wrap=True, markup=False, highlight=False)
        screen.print(f"then: {program()} validate {as_arguments(file, overrides)}", style="dim", soft_wrap=True)


def _recommend(file: str, overrides: tuple[str, ...], memory: int | None, few: bool) -> Recommendation:
    from pipelines import recommendation
    from pipelines.config.components import without_own_code

    pipeline = load(file, overrides, import_code=False)
    with without_own_code():
        return recommendation.recommend(pipeline, memory, few=few)


def _situation(situation: Situation) -> str:
    from orchestrator.progress.number_format import count

    kept = {
        None: "the file does not say how many past samples may be stored (--memory)",
        0: "no past samples may be stored",
    }
    parts = [
        situation.setting + (", online" if situation.online else ""),
        "test samples have task labels" if situation.task_labels else "test samples have no task labels",
        *([situation.family] if situation.family else []),
        kept.get(situation.memory) or f"{count(situation.memory or 0, 'past sample')} may be stored",
    ]
    return "; ".join(parts)


def _entry(rank: int, suggestion: Suggestion) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=10, justify="right")
    table.add_column(overflow="fold")
    table.add_row(f"{rank}.", Text(suggestion.title, style="bold"))
    table.add_row("why", Text(suggestion.why))
    table.add_row("source", Text(suggestion.source))
    table.add_row("costs time", Text("; ".join(suggestion.time)))
    table.add_row("keeps", Text("; ".join(suggestion.memory)))
    return table


def _others(found: Recommendation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=18)
    table.add_column(overflow="fold")
    for name, reasons in found.unfit.items():
        table.add_row(Text(f"  {name}"), Text("; ".join(reasons)))
    return table
