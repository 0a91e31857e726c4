"""`everlearn predict`: predictions of a commit's model for a file."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline


@click.command("predict", cls=Command, short_help="Write a model's predictions for the rows of a file.")
@file_argument()
@set_option
@click.option("--ref", default="latest", show_default=True, metavar="REF", help="Ref, or first characters of a commit.")
@click.option(
    "--input", "source", required=True, metavar="PATH", help=".parquet, .csv, .jsonl, .npz, or images; or s3://."
)
@click.option("--output", "target", required=True, metavar="PATH", help="Ends in .parquet, .csv or .jsonl.")
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Predict with N workers on a Ray cluster.")
@click.option(
    "--address", metavar="RAY", help="Address of a Ray cluster that predicts; by default --workers are on a local Ray."
)
@json_option
def predict(
    file: str,
    overrides: tuple[str, ...],
    ref: str,
    source: str,
    target: str,
    force: bool,
    workers: int | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Write the predictions of a model of FILE's lineage for each row of a file, which may be larger than memory.

    The output has the id of a row, if the dataset of FILE names an id and the input has it, the prediction, and the
    probability of each class. The preprocessing is that of the commit; neither the training data nor a label is needed.
    A language model gives the log-probability and the perplexity of each document of a text file or a folder. With
    --workers or --address, workers of a Ray cluster predict what this process reads and writes, in the same order.
    """
    options = (file, overrides, ref, source, target, force, workers, address)
    if as_json:
        with reserved_stdout() as stdout:
            print_json(_predicted(*options), stdout)
        return
    found = _predicted(*options)
    counts = ", ".join(f"{name}: {count:,}" for name, count in list(found["predicted"].items())[:10])
    what = "documents" if "tokens" in found else "rows"
    say(f"wrote    {target}: {found['rows']:,} {what} by commit {found['commit'][:12]}")
    if "tokens" in found:
        say(f"scored   {found['tokens']:,} tokens, perplexity {found['perplexity']:.4g}")
    if counts:
        say(f"classes  {counts}")


def _predicted(
    file: str,
    overrides: tuple[str, ...],
    ref: str,
    source: str,
    target: str,
    force: bool,
    workers: int | None,
    address: str | None,
) -> dict[str, Any]:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides, import_code=False)
    _, commit = find_commit(open_store(pipeline.storage), ref, [pipeline.name])

    from orchestrator.checkpointing.load_model import load_model
    from orchestrator.prediction.predict_file import predict_file
    from orchestrator.prediction.predicting import is_language_model
    from pipelines.config.pipeline_errors import PipelineError

    model = load_model(pipeline, commit)
    options = pipeline.stream.dataset.options
    if is_language_model(model):
        if workers or address:
            raise PipelineError("--workers, --address: documents are scored in this process: leave them out")
        from orchestrator.prediction.document_scores import predict_documents

        scored, together = predict_documents(model, source, Path(target), replace=force)
        found = {"commit": commit, "input": source, "output": target, "rows": scored.rows, "predicted": {}}
        return found | {"tokens": together.tokens, "perplexity": together.perplexity}
    delimiter = options.get("delimiter") if isinstance(options.get("delimiter"), str) else None
    number = workers or (pipeline.scaling.maximum if address else 1)
    with _answering(pipeline, commit, number, address) as through:
        written = predict_file(model, source, Path(target), delimiter=delimiter, replace=force, through=through)
    predicted = dict(sorted(written.predicted.items(), key=lambda item: -item[1]))
    return {"commit": commit, "input": source, "output": target, "rows": written.rows, "predicted": predicted}


def _answering(pipeline: Pipeline, commit: str, workers: int, address: str | None) -> AbstractContextManager[Any]:
    """What predicts: workers of a cluster, or None for this process."""
    if workers == 1 and not address:
        return nullcontext()
    from orchestrator.cluster.log_levels import quiet
    from orchestrator.prediction.parallel_prediction import predictors

    quiet()
    return predictors(pipeline, commit, workers, address)
