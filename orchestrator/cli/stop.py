"""`everlearn stop`: stop a job on a Ray cluster."""

from __future__ import annotations

import click

from orchestrator.cli.support.cluster_options import address_option, ca_option, cluster_of, file_option, jobs_of
from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say


@click.command("stop", cls=Command, short_help="Stop a job on a Ray cluster.")
@click.argument("job", metavar="JOB")
@address_option
@ca_option
@file_option
@json_option
def stop(job: str, address: str | None, ca: str | None, file: str | None, as_json: bool) -> None:
    """Stop JOB, and wait until it has ended. Its commits are kept: submit the file again to resume."""
    if as_json:
        with reserved_stdout() as stdout:
            print_json(jobs_of(address, ca, cluster_of(file)).stop(job).to_json(), stdout)
        return
    found = jobs_of(address, ca, cluster_of(file)).stop(job)
    say(f"{found.id}: {found.status.lower()}")
