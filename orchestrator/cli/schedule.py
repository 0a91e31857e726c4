"""`everlearn schedule`: a crontab line or a Kubernetes manifest that starts steps at given times."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from orchestrator.cli.support.command_options import Command, file_argument, load, set_option
from orchestrator.progress.printable import say


@click.command("schedule", cls=Command, short_help="Print a crontab line or a Kubernetes manifest that steps FILE.")
@file_argument()
@set_option
@click.option("--cron", required=True, metavar="TIMES", help="When, as in crontab: '0 * * * *' is every hour.")
@click.option("--kubernetes", is_flag=True, help="Print a CronJob; with several workers or GPUs a RayCronJob.")
@click.option("--time-zone", metavar="NAME", help="With --kubernetes: time zone of TIMES, such as Europe/Berlin.")
@click.option("--image", metavar="IMAGE", help="With --kubernetes: image of the pods.")
@click.option("--namespace", metavar="NAME", help="With --kubernetes: namespace of the jobs.")
@click.option(
    "--env", "variables", metavar="NAME=SECRET/KEY", multiple=True, help="With --kubernetes: a variable from a secret."
)
def schedule(
    file: str,
    overrides: tuple[str, ...],
    cron: str,
    kubernetes: bool,
    time_zone: str | None,
    image: str | None,
    namespace: str | None,
    variables: tuple[str, ...],
) -> None:
    """Print a line for crontab that steps FILE at given times, or with --kubernetes manifests for kubectl.

    Nothing is started. A step may be started twice, and one that was killed is completed by the next.
    """
    from orchestrator.jobs.kubernetes import IMAGE, NAMESPACE, JobOptions
    from orchestrator.jobs.kubernetes.cron_job import crontab_line, render_schedule
    from orchestrator.jobs.kubernetes.ray_job import STAND_INS, to_yaml
    from orchestrator.updates.admitted_stream import source_of
    from pipelines.config.pipeline_errors import PipelineError

    given = {"time-zone": time_zone, "image": image, "namespace": namespace, "env": variables}
    wrong = [name for name, value in given.items() if value and not kubernetes]
    if wrong:
        raise click.UsageError(f"--{wrong[0]} can only be used with --kubernetes.")
    # On a cluster, the variables of the file are set there.
    if source_of(load(file, (*overrides, *(STAND_INS if kubernetes else ())))) is None:
        raise PipelineError(f"{file}: nothing arrives here: `everlearn step` needs stream.source")
    try:
        if not kubernetes:
            arguments = [Path(file).name, *(part for text in overrides for part in ("--set", text))]
            folder = str(Path(file).absolute().parent)
            say(crontab_line(cron, str(Path(sys.argv[0]).absolute()), arguments, folder))
            return
        options = JobOptions(
            image=image or IMAGE, namespace=namespace or NAMESPACE, overrides=overrides, variables=variables
        )
        manifests = render_schedule(Path(file).read_text(), cron, options, file, time_zone)
    except ValueError as error:
        raise click.UsageError(f"--cron: {error}" if "time-zone" not in str(error) else str(error)) from None
    click.echo(to_yaml(manifests), nl=False)
