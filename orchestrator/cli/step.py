"""`everlearn step`: one turn of a stream that never ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.run import reporter_of
from orchestrator.cli.support.command_options import (
    Command,
    Settings,
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
    from orchestrator.updates.admission_entries import FileRecord, InputDrift
    from orchestrator.updates.run_step import StepResult
    from orchestrator.updates.stream_metrics import Samples
    from pipelines.config.schema import Pipeline

STOPPED = 4
REFUSED = 5
_MOST_LINES = 20


@click.command("step", cls=Command, short_help="Admit and train what has arrived for FILE.")
@file_argument()
@set_option
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Number of Ray workers; it does not change the result."
)
@click.option("--address", metavar="RAY", help="Address of a Ray cluster, as in `everlearn run`.")
@click.option(
    "--metrics-file",
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write metrics for Prometheus to this file, as node_exporter's textfile collector reads them (NAME.prom).",
)
@json_option
@click.pass_obj
def step(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    workers: int | None,
    address: str | None,
    metrics_file: Path | None,
    as_json: bool,
) -> int:
    """List FILE's source once, admit the files that are new, and train the experiences that are due.

    Files that are torn, changed, or do not fit go into quarantine with the reason, and the stream continues without
    them. With more than max_quarantined of them nothing is trained, and the exit status is 4. With a section `gate`
    the new model is judged, and promoted or proposed; if it is refused, the exit status is 5. Where nothing is new,
    nothing is written. A step may be repeated after an interruption, and started twice at the same time.
    """
    settings.interrupted = "Interrupted. Run the same command to continue: what was admitted and trained stays."
    if as_json:
        with reserved_stdout() as stdout:
            result = turn(settings, file, overrides, workers, address, as_json=True)
            print_json(result.to_json(), stdout)
    else:
        result = turn(settings, file, overrides, workers, address)
        for line in lines(result, f"{program()} sources {as_arguments(file, overrides)}"):
            say(line)
    if metrics_file is not None:
        from orchestrator.updates.stream_metrics import metrics_text, write_metrics

        write_metrics(metrics_file, metrics_text(samples_of(file, overrides, result), {"pipeline": result.pipeline}))
    if result.outcome == "stopped":
        return STOPPED
    return REFUSED if result.judged is not None and result.judged["outcome"] == "refused" else 0


def turn(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    workers: int | None,
    address: str | None,
    *,
    as_json: bool = False,
) -> StepResult:
    """One step of a pipeline file."""
    pipeline = load(file, overrides)

    from orchestrator.cli.support.follow_champion import show_in_mlflow, warn
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.training import driver
    from orchestrator.updates.admitted_stream import stream_of
    from orchestrator.updates.run_step import run_step

    def train(pipeline: Pipeline) -> tuple[int, str]:
        with reporter_of(as_arguments(file, overrides), as_json) as reporter:
            made = driver.run(
                pipeline,
                workers=workers,
                address=address,
                reporter=reporter,
                verbose=settings.verbose,
                outlined=True,
            )
        return made.trained, made.lineage[-1]

    result = run_step(pipeline, train=train, on_warning=warn)
    if result.judged is not None:
        show_in_mlflow(pipeline, Lineage(open_store(pipeline.storage), pipeline.name), stream_of(pipeline))
    return result


def samples_of(file: str, overrides: tuple[str, ...], result: StepResult) -> Samples:
    """The metrics after a step of a pipeline file. Raises StorageError."""
    import time

    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.updates.stream_metrics import stream_samples

    pipeline = load(file, overrides)
    return stream_samples(pipeline, Lineage(open_store(pipeline.storage), pipeline.name), result, time.time())


def lines(result: StepResult, sources: str) -> list[str]:
    """What a step did, for a person.

    Args:
        sources: the command that shows and decides on files.
    """
    from orchestrator.progress.number_format import count

    name = result.pipeline
    if result.outcome == "busy":
        return [f"{name}: another process is working on this pipeline, and admits and trains what is new"]
    told = [line_of(file) for file in result.decided[:_MOST_LINES]]
    if len(result.decided) > _MOST_LINES:
        told.append(f"  and {count(len(result.decided) - _MOST_LINES, 'more file')}")
    held = len(result.quarantined)
    if result.outcome == "nothing-new":
        told.append(f"{name}: nothing new")
    elif result.outcome == "trained":
        told.append(f"{name}: {count(result.trained, 'experience')} trained, {result.experiences} in all")
    elif result.outcome == "waits" and result.update is not None:
        told.append(f"{name}: not trained yet: {result.update['reason']}")
    elif result.outcome == "admitted":
        what = f"{count(result.unlabelled, 'label')} to come" if result.unlabelled else "a complete experience"
        waiting = f", {count(result.waiting, 'file')} waiting for {what}" if result.waiting else ""
        told.append(f"{name}: nothing to train{waiting}")
    if result.update is not None and "retuned" in result.update:
        told.append(f"{name}: settings were searched: {result.update['retuned']['reason']}")
    if result.judged is not None:
        followed = {"promotion": ", and is the champion", "proposal": ", and is proposed"}
        what = followed.get(str(result.judged["followed"]), "")
        told.append(f"{name}: the new model was judged '{result.judged['outcome']}'{what}: {result.judged['reason']}")
    if held:
        stop = ": more than max_quarantined, so that nothing is trained" if result.outcome == "stopped" else ""
        told.append(f"{name}: {count(held, 'file')} in quarantine{stop}. See {sources}")
    return told


def line_of(file: FileRecord) -> str:
    """A file and what was decided on it."""
    told = [file.reason] if file.reason else []
    if file.drift is not None and file.drift.drift:
        told.append(drift_of(file.drift))
    return f"  {file.verdict} {file.key}{': ' if told else ''}{'; '.join(told)}"


def drift_of(drift: InputDrift) -> str:
    """How the inputs of a file that waits for labels differ."""
    return f"drift: its inputs differ by {drift.effect:.3f} (usual up to {drift.usual:.3f})"
