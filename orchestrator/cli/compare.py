"""`everlearn compare`: several pipelines over several seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import Command, Settings, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.cli.tune import search_reporter

if TYPE_CHECKING:
    from orchestrator.tuning.search_result import CompareResult


@click.command("compare", cls=Command, short_help="Run several FILEs over several seeds, side by side.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@set_option
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="Runs of each file, one per seed.",
)
@click.option("--max-concurrent", type=click.IntRange(min=1), metavar="N", help="Most runs at the same time.")
@click.option(
    "--address",
    metavar="RAY",
    help="Address of a Ray cluster. By default processes of this machine train; 'local' starts Ray.",
)
@json_option
@click.pass_obj
def compare(
    settings: Settings,
    files: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: int,
    max_concurrent: int | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Run every FILE with several seeds in parallel, and show the mean and standard deviation of each metric.

    The `published` numbers of a file are shown beside its own. Experiences that are already trained are reused.
    """
    settings.interrupted = "Interrupted. Run the same command to resume: finished experiences are kept."
    if as_json:
        with reserved_stdout() as stdout:
            print_json(_compare(settings, files, overrides, seeds, max_concurrent, address, as_json).to_json(), stdout)
        return
    _compare(settings, files, overrides, seeds, max_concurrent, address, as_json)


def _compare(
    settings: Settings,
    files: tuple[str, ...],
    overrides: tuple[str, ...],
    seeds: int,
    max_concurrent: int | None,
    address: str | None,
    as_json: bool,
) -> CompareResult:
    pipelines = [load(file, overrides) for file in files]

    from orchestrator.tuning import comparison

    with search_reporter(as_json) as reporter:
        return comparison.compare(
            pipelines,
            seeds=seeds,
            address=address,
            max_concurrent=max_concurrent,
            reporter=reporter,
            verbose=settings.verbose,
        )
