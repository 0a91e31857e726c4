"""`everlearn drift`: which experiences of a stream differ from those before them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.table import Table
    from torch import Tensor

    from orchestrator.lineage.commit import Commit
    from orchestrator.updates.drift_report import Accuracy, Errors
    from orchestrator.updates.waiting_drift import WaitingDrift
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from pipelines.drift.stream_drift import ExperienceDrift
    from pipelines.drift.verdicts import Verdict

TESTS = ("ks", "mmd", "classifier")
"""The tests that may be chosen; `pipelines.drift.two_sample.TESTS`, named here so that help needs no numpy."""
_MOST_COLUMNS = 3


@click.command("drift", cls=Command, short_help="Show which experiences of FILE differ from those before them.")
@file_argument()
@set_option
@click.option(
    "--test",
    "tests",
    multiple=True,
    type=click.Choice(TESTS),
    help="A test of the inputs; may be repeated.  [default: ks]",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.01,
    show_default=True,
    help="At most this share of experiences without drift is reported.",
)
@click.option(
    "--least-effect",
    type=click.FloatRange(0, 1),
    help="Smaller effects are no drift, however significant.  [default: 0.1]",
)
@click.option(
    "--model",
    "commit",
    metavar="COMMIT",
    help="Compare what the model of this commit or ref predicts (BBSD) instead of the inputs.",
)
@click.option(
    "--capabilities",
    is_flag=True,
    help="Show instead which capabilities each trained model of FILE has kept.",
)
@click.option("--mlflow", is_flag=True, help="Show drift over time and columns by effect as figures of the MLflow run.")
@json_option
def drift(
    file: str,
    overrides: tuple[str, ...],
    tests: tuple[str, ...],
    alpha: float,
    least_effect: float | None,
    commit: str | None,
    capabilities: bool,
    mlflow: bool,
    as_json: bool,
) -> None:
    """Compare the training data of each experience of FILE with that of the experiences before it.

    A change counts as drift when its effect is large enough, larger than is usual between the experiences so far, and
    significant. Shown beside it, and deciding nothing: how much the columns of a table have changed, the errors of the
    model before each experience where it was trained, and with --model an estimate of the accuracy without labels.
    Files that wait for labels are compared with the last experiences. The data is read; nothing is trained or stored.

    With --capabilities the commits say what their models answered to the items of the section `capabilities`, and
    neither data nor models are read.
    """
    if capabilities:
        _capabilities(file, overrides, as_json)
        return

    def found() -> tuple[list[_Shown], list[WaitingDrift]]:
        from orchestrator.updates.admitted_stream import stream_of
        from pipelines.data.named_columns import named_columns
        from pipelines.drift.stream_drift import stream_drift

        pipeline = load(file, overrides)
        from orchestrator.updates.waiting_drift import waiting_drift

        stream = stream_of(pipeline)
        chosen = tuple(dict.fromkeys(tests)) or TESTS[:1]
        outputs = None if commit is None else _outputs(pipeline, commit)
        drifts = stream_drift(
            stream,
            chosen,
            alpha=alpha,
            least_effect=least_effect,
            seed=pipeline.seed,
            outputs=outputs,
            columns=named_columns(stream),
        )
        shown = _with_errors(pipeline, stream, drifts, commit, outputs)
        if mlflow:
            from orchestrator.tracking.drift_figures import show_drift

            errors = {one.drift.experience: one.errors.share for one in shown if one.errors}
            run_id = show_drift(pipeline, drifts, errors)
            if run_id is not None:
                say(f"MLflow: the figures are among the artifacts of run {run_id}.", err=True)
        learned = None if commit is None else _learned(pipeline, commit)
        waiting = waiting_drift(
            pipeline, stream, chosen, alpha=alpha, least_effect=least_effect, outputs=outputs, learned=learned
        )
        return shown, waiting

    if as_json:
        with reserved_stdout() as stdout:
            shown, waiting = found()
            print_json([*map(_document, shown), *map(_waiting_document, waiting)], stdout)
        return
    shown, waiting = found()
    experiences = [one.drift for one in shown]
    screen = console()
    if not experiences and not waiting:
        screen.print("The stream has one experience: there is nothing to compare it with.")
        return
    if experiences:
        screen.print(_table(experiences))
    further = list(_further(shown))
    if further or waiting:
        screen.print()
    for line in further:
        screen.print(line)
    for one in waiting:
        screen.print(_waiting_line(one), soft_wrap=True)  # keys stay whole
    changed = [str(e.experience) for e in experiences if e.drift]
    screen.print()
    parts = [f"in experience {', '.join(changed)}"] if changed else []
    keys = [one.key for one in waiting if one.drift]
    parts += [f"in {', '.join(keys)}, which {'waits' if len(keys) == 1 else 'wait'} for labels"] if keys else []
    screen.print(f"drift {', and '.join(parts)}" if parts else "no drift", soft_wrap=bool(keys))


def _capabilities(file: str, overrides: tuple[str, ...], as_json: bool) -> None:
    from orchestrator.cli.support.read_history import read_history
    from orchestrator.errors import StorageError
    from orchestrator.lineage.capability_record import capability_documents
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.progress.capability_table import capability_table
    from orchestrator.storage.open_by_uri import open_store

    def chain() -> list[Commit]:
        pipeline = load(file, overrides, import_code=False)
        found = read_history(Lineage(open_store(pipeline.storage), pipeline.name)).chain
        if not any(commit.capabilities for commit in found):
            missing = "was asked for capabilities" if found else "is trained yet"
            raise StorageError(
                f"{pipeline.name}: no model {missing}: list them under `capabilities`, then `everlearn run {file}`"
            )
        return found

    if as_json:
        with reserved_stdout() as stdout:
            documents = [
                {"experience": one.experience.index, "commit": one.id, "capabilities": capability_documents(one)}
                for one in chain()
            ]
            print_json(documents, stdout)
        return
    commits = chain()
    console().print(capability_table(commits))


def _outputs(pipeline: Pipeline, commit: str) -> Callable[[Tensor], Tensor]:
    import torch

    from orchestrator.checkpointing.load_model import load_model
    from strategies.loop.input_scaling import input_dtype, prepared

    model = load_model(pipeline, commit)
    dtype = input_dtype(model)

    def outputs(inputs: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([model(prepared(part, dtype)) for part in inputs.split(256)])

    return outputs


@dataclass(frozen=True)
class _Shown:
    """What is shown of an experience."""

    drift: ExperienceDrift
    errors: Errors | None
    accuracy: Accuracy | None


def _with_errors(
    pipeline: Pipeline,
    stream: Stream,
    drifts: list[ExperienceDrift],
    commit: str | None,
    outputs: Callable[[Tensor], Tensor] | None,
) -> list[_Shown]:
    from orchestrator.checkpointing.commit_weights import commit_called
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.updates.drift_report import estimated_accuracies, followed_errors

    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    latest = lineage.ref("latest")
    errors = followed_errors(lineage, lineage.read(latest.commit)) if latest is not None else {}
    accuracy = {}
    if commit is not None and outputs is not None:
        learned = lineage.read(commit_called(lineage, commit)).experience.index
        accuracy = estimated_accuracies(stream, outputs, learned, pipeline.seed)
    return [_Shown(one, errors.get(one.experience), accuracy.get(one.experience)) for one in drifts]


def _learned(pipeline: Pipeline, commit: str) -> int:
    """The experience of a commit."""
    from orchestrator.checkpointing.commit_weights import commit_called
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store

    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    return lineage.read(commit_called(lineage, commit)).experience.index


def _waiting_document(one: WaitingDrift) -> dict[str, Any]:
    return {
        "waiting": one.key,
        "drift": one.drift,
        "rows": one.rows,
        "missing": one.missing,
        "tests": _tests(one.tests),
        "accuracy": None if one.accuracy is None else {"estimated": one.accuracy},
    }


def _waiting_line(one: WaitingDrift) -> str:
    """A line on a file that waits for labels: its tests, and its estimated accuracy."""
    tests = [
        f"{name} {verdict.effect:.3f} (usual up to {verdict.usual:.3f}){' drift' if verdict.drift else ''}"
        for name, verdict in one.tests.items()
    ]
    accuracy = [] if one.accuracy is None else [f"accuracy {one.accuracy:.3f} estimated without labels"]
    return f"{one.key}, which waits for labels: {', '.join([*tests, *accuracy])}"


def _tests(verdicts: dict[str, Verdict]) -> dict[str, Any]:
    return {
        name: {"effect": v.effect, "usual": v.usual, "p_value": v.p_value, "drift": v.drift}
        for name, v in verdicts.items()
    }


def _document(shown: _Shown) -> dict[str, Any]:
    found = shown.drift
    columns = [{"name": c.name, "stability": c.stability, "wasserstein": c.distance} for c in found.columns]
    return {
        "experience": found.experience,
        "drift": found.drift,
        "tests": _tests(found.tests),
        "columns": columns,
        "errors": None if shown.errors is None else asdict(shown.errors),
        "accuracy": None if shown.accuracy is None else asdict(shown.accuracy),
    }


def _further(shown: list[_Shown]) -> Iterator[str]:
    """Lines on what is only shown: columns, errors, and estimated accuracy."""
    for one in shown:
        parts = [f"{c.name} {c.stability:.2f} ({c.distance:.2f} sd)" for c in one.drift.columns[:_MOST_COLUMNS]]
        if parts:
            yield f"columns of experience {one.drift.experience}, PSI: {', '.join(parts)}"
    for one in shown:
        if one.errors is not None:
            change = f", grown from {one.errors.before:.3f} to {one.errors.now:.3f}" if one.errors.grown else ""
            yield f"errors on experience {one.drift.experience} before it was learned: {one.errors.share:.3f}{change}"
    for one in shown:
        if one.accuracy is not None:
            yield (
                f"accuracy on experience {one.drift.experience}: {one.accuracy.estimated:.3f} estimated without "
                f"labels, {one.accuracy.measured:.3f} measured"
            )


def _table(experiences: list[ExperienceDrift]) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("experience", "test", "effect", "usual up to", "p"):
        table.add_column(heading, justify="left" if heading == "test" else "right")
    table.add_column("")
    for found in experiences:
        for position, (name, verdict) in enumerate(found.tests.items()):
            p_value = f"{verdict.p_value:.3f}" if verdict.p_value >= 0.001 else "<0.001"
            table.add_row(
                str(found.experience) if not position else "",
                name,
                f"{verdict.effect:.3f}",
                f"{verdict.usual:.3f}",
                p_value,
                "drift" if verdict.drift else "",
            )
    return table
