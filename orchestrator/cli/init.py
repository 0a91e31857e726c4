"""`everlearn init`: a commented pipeline file for the data at a path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.support.command_options import Command, json_option, program
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say


@click.command("init", cls=Command, short_help="Write a pipeline file for the data at PATH.")
@click.argument("path", metavar="PATH")
@click.option("--label", metavar="NAME", help="Column or array of the labels; by default found by its name.")
@click.option("--write", "target", type=click.Path(dir_okay=False), metavar="OUT", help="File to write (NAME.yaml).")
@click.option("--force", is_flag=True, help="Replace a file of the same name.")
@json_option
def init(path: str, label: str | None, target: str | None, force: bool, as_json: bool) -> None:
    """Look at the data at PATH and write a commented pipeline file for it into the working directory.

    PATH is a .npz, .parquet, .csv or .jsonl file, a folder of them with one file for each experience, a folder with
    images in a folder for each class, what Hugging Face's save_to_disk has written, or a folder with the files of MNIST
    or Fashion-MNIST; s3:// too. The comments say what was found and why each value was chosen.
    """
    with reserved_stdout() as stdout:
        document = _init(path, label, target, force)
        if as_json:
            print_json(document, stdout)
            return
        for note in document["found"]:
            say(f"found    {note}", file=stdout)
        say(f"wrote    {document['written']}", file=stdout)
        for command in ("validate", "run"):
            say(f"next     {program()} {command} {document['written']}", file=stdout)


def _init(path: str, label: str | None, target: str | None, force: bool) -> dict[str, Any]:
    from pipelines.config.pipeline_errors import PipelineError
    from pipelines.starter_file import starter_file

    made = starter_file(path, label)
    file = Path(target if target is not None else f"{made.name}.yaml")
    if file.exists() and not force:
        raise PipelineError(
            f"{file}: exists already, and nothing was written; --force replaces it, --write names another"
        )
    try:
        file.write_text(made.text, "utf-8")
    except OSError as error:
        raise PipelineError(f"{file}: cannot be written: {error.strerror}") from None
    return {"pipeline": made.name, "written": str(file), "found": list(made.notes)}
