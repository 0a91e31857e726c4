"""The `everlearn` command: its subcommands, and how failures become an exit status and a short message."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from orchestrator.cli.audit import audit
from orchestrator.cli.backfill import backfill
from orchestrator.cli.compare import compare
from orchestrator.cli.copy import copy
from orchestrator.cli.drift import drift
from orchestrator.cli.example import example
from orchestrator.cli.export import export
from orchestrator.cli.forget import forget
from orchestrator.cli.fsck import fsck
from orchestrator.cli.gate_command import gate
from orchestrator.cli.gc import gc
from orchestrator.cli.init import init
from orchestrator.cli.list import list_components
from orchestrator.cli.log import log
from orchestrator.cli.logs import logs
from orchestrator.cli.predict import predict
from orchestrator.cli.promote import promote
from orchestrator.cli.publish import publish
from orchestrator.cli.recommend import recommend
from orchestrator.cli.rollback import rollback
from orchestrator.cli.run import run
from orchestrator.cli.schedule import schedule
from orchestrator.cli.serve import serve
from orchestrator.cli.shadow import shadow
from orchestrator.cli.show import show
from orchestrator.cli.shuffle import shuffle
from orchestrator.cli.sources import sources
from orchestrator.cli.status import status
from orchestrator.cli.step import step
from orchestrator.cli.stop import stop
from orchestrator.cli.submit import submit
from orchestrator.cli.support.command_options import Settings, Terminated
from orchestrator.cli.support.failure_messages import (
    BROKEN_PIPE,
    INTERRUPTED,
    TERMINATED,
    failure_lines,
    failure_status,
)
from orchestrator.cli.tune import tune
from orchestrator.cli.ui import ui
from orchestrator.cli.validate import validate
from orchestrator.cli.watch import watch
from orchestrator.errors import RayDied
from orchestrator.progress.printable import say


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        say(f"everlearn {version('everlearn')}")
        context.exit()


class _InOrder(click.Group):
    """Lists the commands in the order in which a person needs them, not alphabetically."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
def everlearn() -> None:
    """Continual learning on Ray: train a model on data that keeps arriving, without losing what it learned before.

    A pipeline file describes the data, its order, the model and the strategies against forgetting. `everlearn run FILE`
    trains it, and resumes after an interruption.
    """


_starting = (example, init)
_learning = (run, tune, compare, validate, recommend, list_components, log, show, predict, drift, publish, ui)
_arriving = (step, watch, schedule, sources, backfill, shuffle)
_deciding = (gate, promote, rollback, audit)
_serving = (serve, shadow, export)
_on_a_cluster = (submit, status, logs, stop)
_care = (fsck, gc, forget, copy)
for command in (*_starting, *_learning, *_arriving, *_deciding, *_serving, *_on_a_cluster, *_care):
    everlearn.add_command(command)


def invoke(arguments: Sequence[str] | None = None, *, own_process: bool = False) -> int:
    """Run one command and return its exit status: 0 done, 1 the run failed, 2 the file or the arguments are wrong,
    3 storage, tracking or cluster unavailable, 4 too many files in quarantine, 5 refused by the gate, 130 interrupted,
    143 terminated."""
    settings = Settings(own_process=own_process)
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe that cannot encode a character gets a replacement character instead of a crash.
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        ended = everlearn.main(args=arguments, prog_name="everlearn", standalone_mode=False, obj=settings)
    except (KeyboardInterrupt, click.Abort) as stop:
        say(settings.interrupted, err=True)
        return TERMINATED if isinstance(stop.__cause__, Terminated) else INTERRUPTED
    except SystemExit:
        # click and rich raise SystemExit when the reader of the output has closed the pipe.
        _discard_output()
        return BROKEN_PIPE
    except Exception as error:
        if settings.debug:
            import traceback

            from orchestrator.redact import redact

            # The errors of libraries quote URIs as they were given, including passwords.
            say(redact(traceback.format_exc()), err=True)
        for line in failure_lines(error):
            say(line, err=True)
        if isinstance(error, RayDied):
            # At exit, Ray would wait for the head that failed, and end the process with an exit status of its own.
            _leave(failure_status(error))
        return failure_status(error)
    return ended if isinstance(ended, int) else 0


def main() -> None:
    """The console script."""
    # Everything is written by now. After PyTorch, MLflow and Ray were loaded, ending the interpreter takes seconds, and
    # may crash under a thread that still waits for one of them.
    _leave(invoke(own_process=True))


def _leave(status: int) -> NoReturn:
    """End the process at once, without the interpreter's clean-up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _discard_output() -> None:
    """Keep the interpreter from reporting, at exit, that the reader of the output has closed the pipe."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
