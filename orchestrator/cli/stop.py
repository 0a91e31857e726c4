"""`everlearn stop`: end a job of a Ray cluster."""

from __future__ import annotations

import click

from orchestrator.cli.options import Command, json_option
from orchestrator.cli.output import print_json, reserved_stdout
from orchestrator.cli.submit import address_option


@click.command("stop", cls=Command, short_help="Stop a job of a Ray cluster.")
@click.argument("job", metavar="JOB")
@address_option
@json_option
def stop(job: str, address: str | None, as_json: bool) -> None:
    """Stop JOB, and wait until it has ended. What it committed is kept: submit it again, and it goes on."""
    from orchestrator.jobs import Jobs

    if as_json:
        with reserved_stdout() as stdout:
            print_json(Jobs(address).stop(job).to_json(), stdout)
        return
    found = Jobs(address).stop(job)
    click.echo(f"{found.id}: {found.status.lower()}")
