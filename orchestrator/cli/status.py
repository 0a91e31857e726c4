"""`everlearn status`: the jobs on a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.cluster_options import address_option, ca_option, cluster_of, file_option, jobs_of
from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.jobs.client import Job


@click.command("status", cls=Command, short_help="Show the jobs on a Ray cluster.")
@click.argument("job", metavar="[JOB]", required=False)
@address_option
@ca_option
@file_option
@json_option
def status(job: str | None, address: str | None, ca: str | None, file: str | None, as_json: bool) -> None:
    """Show JOB, or all jobs that Everlearn submitted: their status, why they failed, and lost nodes and workers."""
    if as_json:
        with reserved_stdout() as stdout:
            jobs = jobs_of(address, ca, cluster_of(file))
            print_json(jobs.get(job).to_json() if job else [one.to_json() for one in jobs.all()], stdout)
        return
    jobs = jobs_of(address, ca, cluster_of(file))
    found = [jobs.get(job)] if job else jobs.all()
    if not found:
        say(f"no jobs at {jobs.address}")
        return
    _show(found)


def _show(jobs: list[Job]) -> None:
    import time

    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("job", "status", "started"):
        table.add_column(heading, overflow="fold")
    table.add_column("seconds", justify="right")
    for one in jobs:
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.started)) if one.started else ""
        seconds = f"{(one.ended or time.time()) - one.started:.0f}" if one.started else ""
        table.add_row(one.id, one.status.lower(), started, seconds)
    screen = console()
    screen.print(table)
    for one in jobs:
        for text in (*one.incidents, *([one.cause] if one.cause else [])):
            screen.print(f"{one.id}: {text}", soft_wrap=True)
