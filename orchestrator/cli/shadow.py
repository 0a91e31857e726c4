"""`everlearn shadow`: the champion and a candidate on recorded inputs."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say


@click.command("shadow", cls=Command, short_help="Compare two models of FILE on recorded requests.")
@file_argument()
@set_option
@click.option("--requests", "source", required=True, metavar="PATH", help="Requests (.jsonl), or a table of inputs.")
@click.option("--champion", "first", default="champion", show_default=True, metavar="REF", help="The model in use.")
@click.option("--candidate", default="latest", show_default=True, metavar="REF", help="The other one.")
@json_option
def shadow(file: str, overrides: tuple[str, ...], source: str, first: str, candidate: str, as_json: bool) -> None:
    """Send the same recorded inputs to two models of FILE's lineage, and compare their answers.

    Shown are how often they agree, which answers change to which, how accurate both are where the table has labels,
    and the latency of the candidate as a multiple of the champion's.

    PATH has a request in each line, as POST /predict of everlearn serve takes it, or is a .parquet, .csv or .jsonl
    table.
    """
    with reserved_stdout() as out:
        found = _compared(file, overrides, source, first, candidate)
        if as_json:
            print_json(found, out)
            return
    say(f"rows       {found['rows']:,}: {found['champion'][:12]} and {found['candidate'][:12]}")
    say(f"agreement  {found['agreement']:.2%}, mean difference {found['mean_difference']:.4g}")
    for flip in found["flips"][:10]:
        say(f"  {flip['from']} -> {flip['to']}: {flip['rows']:,}")
    if "accuracy" in found:
        accuracy = found["accuracy"]
        say(f"accuracy   {accuracy['champion']:.2%}, candidate {accuracy['candidate']:.2%}")
    say(f"latency    {found['latency_ratio']:.2f} times that of the champion")


def _compared(file: str, overrides: tuple[str, ...], source: str, first: str, candidate: str) -> dict[str, Any]:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides, import_code=False)
    store = open_store(pipeline.storage)
    ids = [find_commit(store, word, [pipeline.name])[1] for word in (first, candidate)]

    from orchestrator.checkpointing.load_model import load_model
    from orchestrator.serving.model_swap import warmed_up
    from orchestrator.serving.shadow_comparison import compare_models

    champion, other = (warmed_up(id_, load_model(pipeline, id_)) for id_ in ids)
    found = compare_models(champion, other, source)
    return {"champion": ids[0], "candidate": ids[1], **found.to_json()}
