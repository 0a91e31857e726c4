"""Show a job that is followed: on a terminal like a local run, elsewhere by the lines that it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from orchestrator.cli.support.command_options import program
from orchestrator.cli.support.output import console
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.jobs.relay.receiver import Receiver


def receiver(out: TextIO, arguments: str = "", *, tables: bool = True) -> Receiver:
    """The receiver of the output of a job.

    Args:
        arguments: how a further command names the pipeline file; without them there are no hints at the end.
        tables: whether the matrix and the metrics are shown at the end of a run.
    """
    from orchestrator.jobs.relay.receiver import Receiver
    from orchestrator.progress.terminal_reporter import TerminalReporter
    from orchestrator.tuning.search_table import LiveSearchReporter

    screen = console(out)
    if not screen.is_terminal or screen.is_dumb_terminal:
        return Receiver(lambda line: say(line, file=out))
    # Through the console, so that lines appear above the live display.
    return Receiver(
        lambda line: screen.print(line, soft_wrap=True),
        TerminalReporter(screen, program(), arguments, tables=tables),
        LiveSearchReporter(screen, tables=tables),
    )
