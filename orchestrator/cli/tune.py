"""`everlearn tune`: search settings, and train the best."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import Command, Settings, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from orchestrator.tuning.search_reporter import SearchReporter
    from orchestrator.tuning.search_result import TuneResult


@click.command("tune", cls=Command, short_help="Search the settings in the tune section of FILE.")
@file_argument()
@set_option
@click.option("--trials", type=click.IntRange(min=1), metavar="N", help="Number of trials.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Number of Ray workers of each trial.")
@click.option(
    "--address",
    metavar="RAY",
    help="Address of a Ray cluster. By default processes of this machine train where that serves; 'local' starts Ray.",
)
@click.option(
    "--write",
    "target",
    type=click.Path(dir_okay=False),
    metavar="OUT",
    help="Write the file with the best settings to OUT.",
)
@json_option
@click.pass_obj
def tune(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    trials: int | None,
    workers: int | None,
    address: str | None,
    target: str | None,
    as_json: bool,
) -> None:
    """Search the settings in the tune section of FILE, and train the best on all training data.

    Trials are compared on a validation split of the training data; the test sets are not used before the end. After an
    interruption, run the same command to resume: finished trials and experiences are not run again.
    """
    settings.interrupted = "Interrupted. Run the same command to resume: finished trials are kept."
    if as_json:
        with reserved_stdout() as stdout:
            result, _ = _search(settings, file, overrides, trials, workers, address, target, as_json)
            print_json(result.to_json(), stdout)
        return
    _, snippet = _search(settings, file, overrides, trials, workers, address, target, as_json)
    screen = console()
    screen.print("\nthe best settings, to paste into the file:\n", style="dim")
    screen.print(snippet, soft_wrap=True)
    if target is not None:
        screen.print(f"written to {target}", soft_wrap=True)


def _search(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    trials: int | None,
    workers: int | None,
    address: str | None,
    target: str | None,
    as_json: bool,
) -> tuple[TuneResult, str]:
    pipeline = load(file, overrides)
    text = Path(file).read_text("utf-8-sig")
    if target is not None and not Path(target).resolve().parent.is_dir():
        raise click.UsageError(f"--write: there is no folder {Path(target).parent}.", click.get_current_context())

    from orchestrator.tuning import search
    from orchestrator.tuning.tuned_file import snippet, to_yaml, tuned_document

    with search_reporter(as_json) as reporter:
        result = search.tune(
            pipeline, trials=trials, workers=workers, address=address, reporter=reporter, verbose=settings.verbose
        )
    document = tuned_document(text, file, overrides, result.best.settings)
    if target is not None:
        Path(target).write_text(to_yaml(document), "utf-8")
    return result, snippet(document, result.best.settings)


def search_reporter(as_json: bool) -> SearchReporter:
    """The reporter of a search: a live table on a terminal, lines elsewhere, messages in a job. Writes to stderr with
    --json."""
    from orchestrator.jobs.relay import relayed
    from orchestrator.tuning.search_table import LiveSearchReporter, PlainSearchReporter

    if relayed():
        from orchestrator.jobs.relay.sender import RelaySearchReporter

        return RelaySearchReporter(sys.stderr if as_json else sys.stdout, tables=not as_json)
    screen = console(sys.stderr if as_json else sys.stdout)
    kind = LiveSearchReporter if screen.is_terminal and not screen.is_dumb_terminal else PlainSearchReporter
    return kind(screen, tables=not as_json)
