"""`everlearn export`: a model as files that need no Everlearn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say


@click.command("export", cls=Command, short_help="Write a model as files that need no Everlearn.")
@file_argument()
@click.argument("commit")
@click.argument("folder", metavar="DIR", type=click.Path())
@set_option
@json_option
def export(file: str, commit: str, folder: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Write the model of COMMIT of FILE's lineage into DIR, which must not exist, with a README on how to use it.

    COMMIT is the first characters of an id, or a ref such as champion. DIR holds the graph
    of torch.export, which MLflow loads too, the tensors, and the preprocessing with the Python code that applies it.
    For a model of lora it also holds an adapter that PEFT loads.
    """
    with reserved_stdout() as out:
        written = _written(file, commit, Path(folder), overrides)
        if as_json:
            print_json(written, out)
            return
    say(f"wrote    {folder}: commit {written['commit'][:12]}; its README.md says how to use it")
    if not written["graph"]:
        say(f"warning: no graph, the tensors alone: torch.export: {written['graph_problem']}", err=True)
    if "adapter_problem" in written:
        say(f"warning: no files for PEFT, the whole model alone: {written['adapter_problem']}", err=True)


def _written(file: str, word: str, folder: Path, overrides: tuple[str, ...]) -> dict[str, Any]:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides, import_code=False)
    _, commit = find_commit(open_store(pipeline.storage), word, [pipeline.name])

    from orchestrator.checkpointing.load_model import load_model
    from orchestrator.serving.export_folder import export_folder

    return export_folder(load_model(pipeline, commit), commit, pipeline.name, folder)
