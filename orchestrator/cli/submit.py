"""`everlearn submit`: run a pipeline as a job on a Ray cluster, or on Kubernetes."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, TextIO

import click

from orchestrator.cli.support.cluster_options import address_option, ca_option, jobs_of
from orchestrator.cli.support.command_options import Command, Settings, as_arguments, json_option, program, set_option
from orchestrator.cli.support.follow_job import receiver
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say

_ON_RAY = ("address", "ca", "working_dir", "dependencies", "follow")
_ON_KUBERNETES = ("apply", "image", "namespace", "queue", "context", "tls")


@click.command("submit", cls=Command, short_help="Run FILE as a job on a Ray cluster.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@set_option
@click.option(
    "--kind", type=click.Choice(["run", "tune", "compare"]), default="run", show_default=True, help="Command to run."
)
@click.option(
    "--seeds", type=click.IntRange(min=1), metavar="N", help="With --kind compare: runs of each file, one per seed."
)
@address_option
@ca_option
@click.option(
    "--working-dir", metavar="DIR", type=click.Path(), help="Folder with your own modules, uploaded with the job."
)
@click.option(
    "--dependency",
    "dependencies",
    metavar="REQ",
    multiple=True,
    help="Requirement that pip installs in the job. Repeatable.",
)
@click.option(
    "--env",
    "variables",
    metavar="NAME",
    multiple=True,
    help="Environment variable to pass on (users of the cluster can read it); for Kubernetes NAME=SECRET/KEY.",
)
@click.option("--follow", is_flag=True, help="Show the output of the job; exit with the status of the job.")
@click.option("--kubernetes", is_flag=True, help="Print a manifest for the KubeRay operator instead.")
@click.option("--apply", is_flag=True, help="With --kubernetes: apply the manifest with kubectl.")
@click.option("--image", metavar="IMAGE", help="With --kubernetes: image of the pods.")
@click.option("--namespace", metavar="NAME", help="With --kubernetes: namespace of the job.")
@click.option("--queue", metavar="NAME", help="With --kubernetes: Kueue queue of the job.")
@click.option("--tls", is_flag=True, help="With --kubernetes: encrypt the traffic inside the cluster of the job.")
@click.option("--context", metavar="NAME", help="With --kubernetes: context of kubectl.")
@json_option
@click.pass_obj
def submit(settings: Settings, /, as_json: bool, kubernetes: bool, **options: Any) -> int:
    """Run FILE as a job on a Ray cluster. The job keeps running when this machine is switched off.

    To resume a job that was stopped or lost, submit it again: it resumes after its last commit. The `cluster` section
    of the file may hold address, ca, working_dir, dependencies and env. Only --kind compare takes several files.
    """
    if options["seeds"] is not None and options["kind"] != "compare":
        raise click.UsageError("--seeds can only be used with --kind compare.")
    wrong = [name for name in (_ON_RAY if kubernetes else _ON_KUBERNETES) if options[name]]
    if wrong:
        flag = {"dependencies": "dependency"}.get(wrong[0], wrong[0]).replace("_", "-")
        raise click.UsageError(f"--{flag} can{'not' if kubernetes else ' only'} be used with --kubernetes.")
    work = _on_kubernetes if kubernetes else _on_ray
    if as_json:
        with reserved_stdout() as stdout:
            status, document = work(settings, sys.stderr, **options)
            print_json(document, stdout)
    else:
        status, _ = work(settings, sys.stdout, **options)
    return status


def _on_ray(
    settings: Settings,
    out: TextIO,
    *,
    files: tuple[str, ...],
    overrides: tuple[str, ...],
    kind: str,
    seeds: int | None,
    variables: tuple[str, ...],
    address: str | None,
    ca: str | None,
    working_dir: str | None,
    dependencies: tuple[str, ...],
    follow: bool,
    **_: Any,
) -> tuple[int, dict[str, Any]]:
    from orchestrator.jobs.client import exit_status
    from orchestrator.jobs.expected_outcome import prospects
    from orchestrator.jobs.runtime_env import prepare

    shipment = prepare(
        files,
        kind,
        overrides,
        variables=variables,
        modules=Path(working_dir) if working_dir is not None else None,
        dependencies=dependencies,
        arguments=("--seeds", str(seeds)) if seeds is not None else (),
    )
    jobs = jobs_of(address, ca, shipment.cluster)
    warnings = [*jobs.warnings(), *shipment.warnings]
    for text in warnings:
        say(f"warning: {text}", err=True)
    job = jobs.submit(shipment)
    say(f"job      {job} at {jobs.address}", file=out)
    where = shlex.join(["--address", jobs.address, *(("--ca", ca) if ca else ())])
    settings.interrupted = f"Interrupted. The job keeps running: {program()} logs {job} --follow {where}"
    runs = prospects(shipment)
    for line in dict.fromkeys(line for run in runs for line in run.lines()):
        say(line, file=out)
    document: dict[str, Any] = {"address": jobs.address, "warnings": warnings, "runs": [run.to_json() for run in runs]}
    status = 0
    if follow:
        with receiver(out, as_arguments(files[0], overrides), tables=out is sys.stdout) as received:
            found = jobs.follow(job, received)
        status = exit_status(found)
        say(f"{found.status.lower()}{f': {found.cause}' if found.cause else ''}", file=out)
        document |= {"result": received.result}
    else:
        say("waiting for the job to start", err=True)
        found = jobs.started(job)
        for command in (f"logs {job} --follow", f"status {job}", f"stop {job}"):
            say(f"  {program()} {command} {where}", file=out)
        if found.status == "FAILED":
            say(f"everlearn: the job failed: {found.cause}", err=True)
            status = exit_status(found)
    return status, {**found.to_json(), **document}


def _on_kubernetes(
    settings: Settings,
    out: TextIO,
    *,
    files: tuple[str, ...],
    overrides: tuple[str, ...],
    kind: str,
    variables: tuple[str, ...],
    apply: bool,
    image: str | None,
    namespace: str | None,
    queue: str | None,
    context: str | None,
    tls: bool,
    **_: Any,
) -> tuple[int, dict[str, Any]]:
    from orchestrator.jobs.kubernetes import IMAGE, NAMESPACE, JobOptions, submit_kubernetes

    if len(files) != 1:
        raise click.UsageError("--kubernetes takes one file.")
    options = JobOptions(
        image=image or IMAGE,
        namespace=namespace or NAMESPACE,
        overrides=overrides,
        variables=variables,
        queue=queue,
        tls=tls,
    )
    submission = submit_kubernetes(files[0], kind, options, apply=apply, context=context)
    if not apply:
        click.echo(submission.manifest, file=out, nl=False)
        return 0, {**submission.to_json(), "manifest": submission.manifest}
    say(f"job {submission.name} in namespace {submission.namespace}", file=out)
    for command in submission.commands.values():
        say(f"  {command}", file=out)
    return 0, submission.to_json()
