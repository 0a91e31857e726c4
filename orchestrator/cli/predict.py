"""`everlearn predict`: a file through the model of a commit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say


@click.command("predict", cls=Command, short_help="Write a model's predictions for the rows of a file.")
@file_argument()
@set_option
@click.option("--ref", default="latest", show_default=True, metavar="REF", help="Ref, or first characters of a commit.")
@click.option(
    "--input", "source", required=True, metavar="PATH", help=".parquet, .csv, .jsonl, .npz, or images; or s3://."
)
@click.option("--output", "target", required=True, metavar="PATH", help="Ends in .parquet, .csv or .jsonl.")
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@json_option
def predict(
    file: str, overrides: tuple[str, ...], ref: str, source: str, target: str, force: bool, as_json: bool
) -> None:
    """Write the predictions of a model of FILE's lineage for each row of a file, which may be larger than memory.

    The output has the id of a row, if the dataset of FILE names an id and the input has it, the prediction, and the
    probability of each class. The preprocessing is that of the commit; neither the training data nor a label is needed.
    """
    if as_json:
        with reserved_stdout() as stdout:
            print_json(_predicted(file, overrides, ref, source, target, force), stdout)
        return
    found = _predicted(file, overrides, ref, source, target, force)
    counts = ", ".join(f"{name}: {count:,}" for name, count in list(found["predicted"].items())[:10])
    say(f"wrote    {target}: {found['rows']:,} rows by commit {found['commit'][:12]}")
    if counts:
        say(f"classes  {counts}")


def _predicted(
    file: str, overrides: tuple[str, ...], ref: str, source: str, target: str, force: bool
) -> dict[str, Any]:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides, import_code=False)
    _, commit = find_commit(open_store(pipeline.storage), ref, [pipeline.name])

    from orchestrator.checkpointing.load_model import load_model
    from orchestrator.prediction.predict_file import predict_file

    model = load_model(pipeline, commit)
    options = pipeline.stream.dataset.options
    delimiter = options.get("delimiter") if isinstance(options.get("delimiter"), str) else None
    written = predict_file(model, source, Path(target), delimiter=delimiter, replace=force)
    predicted = dict(sorted(written.predicted.items(), key=lambda item: -item[1]))
    return {"commit": commit, "input": source, "output": target, "rows": written.rows, "predicted": predicted}
