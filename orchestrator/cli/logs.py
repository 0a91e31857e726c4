"""`everlearn logs`: the output of a job on a Ray cluster."""

from __future__ import annotations

import sys

import click

from orchestrator.cli.support.cluster_options import address_option, ca_option, cluster_of, file_option, jobs_of
from orchestrator.cli.support.command_options import Command, Settings, json_option
from orchestrator.cli.support.follow_job import receiver
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say


@click.command("logs", cls=Command, short_help="Show the output of a job, or follow it.")
@click.argument("job", metavar="JOB")
@click.option("--follow", is_flag=True, help="Follow the output until the job ends; exit with the status of the job.")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Show only the last N lines.")
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
    """Show the output of JOB. Secrets that can be recognised are removed."""
    from orchestrator.jobs.client import exit_status

    if follow and (as_json or tail):
        raise click.UsageError("--follow cannot be combined with --json or --tail.")
    settings.interrupted = "Interrupted. The job keeps running."
    if follow:
        jobs = jobs_of(address, ca, cluster_of(file))
        with receiver(sys.stdout) as received:
            return exit_status(jobs.follow(job, received))
    if as_json:
        with reserved_stdout() as stdout:
            print_json({"job": job, "lines": _lines(jobs_of(address, ca, cluster_of(file)).logs(job), tail)}, stdout)
        return 0
    for line in _lines(jobs_of(address, ca, cluster_of(file)).logs(job), tail):
        say(line)
    return 0


def _lines(text: str, tail: int | None) -> list[str]:
    lines = text.splitlines()
    return lines[-tail:] if tail else lines
