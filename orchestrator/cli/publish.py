"""`everlearn publish`: write to MLflow what is missing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.tracking.logged_model import MakeModel
    from pipelines.data.streams import Stream


@click.command("publish", cls=Command, short_help="Complete the MLflow run of FILE.")
@file_argument()
@set_option
@click.option("--models", is_flag=True, help="Register the model of every commit in MLflow.")
@json_option
def publish(file: str, overrides: tuple[str, ...], models: bool, as_json: bool) -> None:
    """Write to MLflow the parts of FILE's lineage that it lacks, for example after the server was unavailable.

    The registered model and its alias `champion` follow the decisions. Running it twice changes nothing. It runs no
    code of your own: where FILE names some, it publishes the finished lineage that the ref `latest` names, without the
    model for serving.
    """
    with reserved_stdout() as stdout:
        document = _publish(file, overrides, models)
        if as_json:
            print_json(document, stdout)
            return
        done, total = document["published"], document["experiences"]
        count = f"all {total} experiences" if done == total else f"the first {done} of {total} experiences"
        say(f"published: {count}, run {document['tracking']['run_id']}", file=stdout)
        if models:
            registered = document["registered"]
            say(f"registered {registered['name']}: {len(registered['versions'])} versions", file=stdout)
        say(f"MLflow     {program()} ui {as_arguments(file, overrides)}", file=stdout)


def _publish(file: str, overrides: tuple[str, ...], models: bool) -> dict[str, Any]:
    from functools import partial

    from orchestrator.checkpointing.load_model import example_and_model, model_maker
    from orchestrator.cli.support.follow_champion import warn
    from orchestrator.cli.support.read_history import read_history
    from orchestrator.lineage.bad_commits import plan_without_bad
    from orchestrator.lineage.decisions import newest_first
    from orchestrator.lineage.joint_reference import Reference
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.redact import redact
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.tracking.champion_alias import register_models, show_champion
    from orchestrator.tracking.mlflow_client import resolve_uri
    from orchestrator.tracking.publish_lineage import publish as write
    from orchestrator.updates.admitted_stream import stream_of
    from pipelines.config.pipeline_errors import PipelineError
    from pipelines.data.experience_names import experience_names

    pipeline = load(file, overrides, import_code=False)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    own = pipeline.own_code()
    model: MakeModel | None = None
    stream: Stream | None = None
    if own:
        chain = read_history(lineage).chain
        length, key = pipeline.stream.length or len(chain), chain[-1].id if chain else None
        if chain and len(chain) < length:
            raise PipelineError(
                [
                    f"{file}: {len(chain)} of {length} experiences are trained, and which run they belong to, only "
                    f"{', '.join(own)} knows, which publish does not run",
                    f"Complete them: {program()} run {as_arguments(file, overrides)} also writes what MLflow lacks",
                ]
            )
    else:
        stream, plan, _ = plan_without_bad(pipeline, stream_of(pipeline), lineage)
        chain = lineage.leading([planned.id for planned in plan])
        length, key = len(stream), plan[-1].id
        model = partial(example_and_model, pipeline, stream, lineage, chain[-1]) if chain else None
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
        stream_length=length,
        key=key,
        reference=Reference(lineage),
        model=model,
        class_names=None if stream is None else stream.unit_names,
        experience_names=() if stream is None else experience_names(stream),
        warn=warn,
    )
    decisions, maker = list(newest_first(lineage))[::-1], model_maker(pipeline, stream, lineage)
    versions = register_models(pipeline, [commit.id for commit in chain], maker, warn=warn) if models else None
    show_champion(pipeline, decisions, maker, warn=warn)
    return {
        "pipeline": pipeline.name,
        "published": len(chain),
        "experiences": length,
        **({} if versions is None else {"registered": {"name": pipeline.name, "versions": versions}}),
        "tracking": {"uri": redact(resolve_uri(pipeline.tracking.uri)), "run_id": run_id},
    }
