"""`everlearn publish`: write to MLflow what is missing in it."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.support.command_options import (
    Command,
    as_arguments,
    file_argument,
    json_option,
    load,
    program,
    set_option,
)
from orchestrator.cli.support.output import print_json, reserved_stdout


@click.command("publish", cls=Command, short_help="Complete the MLflow run of FILE.")
@file_argument()
@set_option
@json_option
def publish(file: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Write to MLflow the parts of FILE's lineage that it lacks, for example after the server was unavailable.

    Running it twice changes nothing.
    """
    with reserved_stdout() as stdout:
        document = _publish(file, overrides)
        if as_json:
            print_json(document, stdout)
            return
        done, total = document["published"], document["experiences"]
        count = f"all {total} experiences" if done == total else f"the first {done} of {total} experiences"
        print(f"published: {count}, run {document['tracking']['run_id']}", file=stdout)
        print(f"MLflow     {program()} ui {as_arguments(file, overrides)}", file=stdout)


def _publish(file: str, overrides: tuple[str, ...]) -> dict[str, Any]:
    from orchestrator.checkpointing.load_model import example_and_model
    from orchestrator.lineage.joint_reference import Reference
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.plan import make_plan
    from orchestrator.redact import redact
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.tracking.mlflow_client import resolve_uri
    from orchestrator.tracking.publish_lineage import publish as write
    from pipelines.config.pipeline_errors import PipelineError
    from pipelines.data.streams import build_stream

    pipeline = load(file, overrides)
    stream = build_stream(pipeline.stream, pipeline.seed)
    plan = make_plan(pipeline, stream)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    chain = lineage.leading([planned.id for planned in plan])
    if not chain:
        raise PipelineError(
            [
                f"{file}: nothing to publish: no experience of this file has been trained with its present settings",
                f"Train it: {program()} run {as_arguments(file, overrides)}",
            ]
        )
    run_id = write(
        pipeline,
        chain,
        stream_length=len(stream),
        key=plan[-1].id,
        reference=Reference(lineage),
        model=lambda: example_and_model(pipeline, stream, lineage, chain[-1]),
        warn=lambda text: click.echo(f"warning: {text}", err=True),
    )
    return {
        "pipeline": pipeline.name,
        "published": len(chain),
        "experiences": len(stream),
        "tracking": {"uri": redact(resolve_uri(pipeline.tracking.uri)), "run_id": run_id},
    }
