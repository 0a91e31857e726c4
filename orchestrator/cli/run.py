"""`everlearn run`: train the stream, and resume after an interruption."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import (
    Command,
    Settings,
    as_arguments,
    file_argument,
    json_option,
    load,
    program,
    set_option,
)
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.progress.run_reporter import Reporter
    from orchestrator.result import RunResult
    from orchestrator.tracking.tracking_process import TrackingProcess
    from pipelines.config.schema import Pipeline


@click.command("run", cls=Command, short_help="Train the stream of FILE, or resume it.")
@file_argument()
@set_option
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of Ray workers; it does not change the result."
)
@click.option(
    "--address",
    metavar="RAY",
    help="Address of a Ray cluster. By default one worker trains in this process, more on a local Ray; 'local' always.",
)
@json_option
@click.pass_obj
def run(
    settings: Settings, file: str, overrides: tuple[str, ...], workers: int | None, address: str | None, as_json: bool
) -> None:
    """Train the stream of FILE, experience by experience.

    Experiences that were trained before with the same data and settings are reused. After an interruption, or when the
    stream has become longer, run the same command again: only what is missing is trained.
    """
    settings.interrupted = "Interrupted. Run the same command to resume after the last finished experience."
    if not as_json:
        _train(settings, file, overrides, workers, address, as_json)
        return
    with reserved_stdout() as stdout:
        print_json(_train(settings, file, overrides, workers, address, as_json).to_json(), stdout)


def _train(
    settings: Settings, file: str, overrides: tuple[str, ...], workers: int | None, address: str | None, as_json: bool
) -> RunResult:
    pipeline = load(file, overrides)

    from orchestrator.training import driver

    with (
        _tracking(settings, pipeline, workers, address) as tracking,
        reporter_of(as_arguments(file, overrides), as_json) as reporter,
    ):
        return driver.run(
            pipeline, workers=workers, address=address, reporter=reporter, verbose=settings.verbose, tracking=tracking
        )


@contextmanager
def _tracking(
    settings: Settings, pipeline: Pipeline, workers: int | None, address: str | None
) -> Iterator[TrackingProcess | None]:
    """A process that writes to MLflow while this one trains, where it does; before this one has threads."""
    from orchestrator.tracking.tracking_process import TrackingProcess
    from orchestrator.training.in_process import runs_in_this_process

    here = (workers or 1) == 1 and runs_in_this_process(pipeline.scaling, address) and not pipeline.scaling.gpu
    process = TrackingProcess.fork() if settings.own_process and here else None
    try:
        yield process
    finally:
        if process is not None:
            process.end()


def reporter_of(arguments: str, as_json: bool) -> Reporter:
    """The reporter of a run: live on a terminal, lines elsewhere, relayed in a job. Writes to stderr with --json.

    Args:
        arguments: how a further command names the pipeline file.
    """
    from orchestrator.jobs.relay import relayed

    if relayed():
        from orchestrator.jobs.relay.sender import RelayReporter

        return RelayReporter(sys.stderr if as_json else sys.stdout, tables=not as_json)
    screen = console(sys.stderr if as_json else sys.stdout)
    if screen.is_terminal and not screen.is_dumb_terminal:
        from orchestrator.progress.terminal_reporter import TerminalReporter

        return TerminalReporter(screen, program(), arguments, tables=not as_json)
    from orchestrator.progress.plain_reporter import PlainReporter

    return PlainReporter(screen, program(), arguments, tables=not as_json)
