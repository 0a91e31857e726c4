"""`everlearn logs`: what a job of a Ray cluster writes."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.support.cluster_options import address_option, ca_option, cluster_of, file_option, jobs_of
from orchestrator.cli.support.command_options import Command, Settings, json_option
from orchestrator.cli.support.follow_job import receiver
from orchestrator.cli.support.output import print_json, reserved_stdout


@click.command("logs", cls=Command, short_help="Show what a job wrote, or follow it.")
@click.argument("job", metavar="JOB")
@click.option("--follow", is_flag=True, help="Go on until the job ends, and end with its exit status.")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last N lines.")
@address_option
@ca_option
@file_option
@json_option
@click.pass_obj
def logs(
    settings: Settings,
    job: str,
    follow: bool,
    tail: int | None,
    address: str | None,
    ca: str | None,
    file: str | None,
    as_json: bool,
) -> int:
    """Show the output of JOB. Secrets that can be recognised are left out."""
    from orchestrator.jobs.client import exit_status

    if follow and (as_json or tail):
        raise click.UsageError("--follow: not with --json or --tail.")
    settings.interrupted = "The job goes on."
    if follow:
        jobs = jobs_of(address, ca, cluster_of(file))
        with receiver(sys.stdout) as received:
            return exit_status(jobs.follow(job, received))
    if as_json:
        with reserved_stdout() as stdout:
            print_json({"job": job, "lines": _lines(jobs_of(address, ca, cluster_of(file)).logs(job), tail)}, stdout)
        return 0
    for line in _lines(jobs_of(address, ca, cluster_of(file)).logs(job), tail):
        click.echo(line)
    return 0


def _lines(text: str, tail: int | None) -> list[str]:
    lines = text.splitlines()
    return lines[-tail:] if tail else lines
