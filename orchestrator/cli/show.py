"""`everlearn show`: one commit in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from orchestrator.cli.support.read_history import History
    from orchestrator.lineage.commit import Commit


# Most classes that are shown.
_WORST = 12


@click.command("show", cls=Command, short_help="Show one commit in full.")
@click.argument("commit")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@set_option
@click.option("--storage", metavar="URI", help="Store to search: a folder or s3://bucket/prefix.")
@json_option
def show(commit: str, file: str | None, overrides: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Show COMMIT: its origin, its metrics, and what is stored of it.

    COMMIT is the first characters of an id, or a ref such as latest. It is searched in the pipeline of FILE if one is
    given, else in all pipelines of the store: --storage, else EVERLEARN_STORAGE, else .everlearn/store.
    """
    if overrides and file is None:
        raise click.UsageError("--set needs a FILE whose values it sets.", click.get_current_context())
    if as_json:
        with reserved_stdout() as stdout:
            history = _find(commit, file, overrides, storage)
            print_json(_document(history), stdout)
        return
    history = _find(commit, file, overrides, storage)
    screen = console()
    for part in _parts(history):
        screen.print(part, soft_wrap=isinstance(part, str))


def _find(word: str, file: str | None, overrides: tuple[str, ...], storage: str | None) -> History:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.cli.support.read_history import read_history
    from orchestrator.storage.open_by_uri import open_store
    from pipelines.config.environment_variables import DEFAULT_STORAGE, expand

    pipeline = load(file, overrides, import_code=False) if file is not None else None
    default = pipeline.storage if pipeline is not None else expand(DEFAULT_STORAGE)
    lineage, id_ = find_commit(open_store(storage or default), word, [pipeline.name] if pipeline is not None else None)
    return read_history(lineage, id_)


def _document(history: History) -> dict[str, Any]:
    commit = history.chain[-1]
    bad = {"bad": True} if commit.id in history.bad else {}
    return {**commit.document(), "refs": history.refs.get(commit.id, []), **bad, "metrics": history.metrics[-1]}


def _parts(history: History) -> list[RenderableType]:
    import yaml

    from orchestrator.progress.matrix_table import metrics_view

    commit = history.chain[-1]
    spec = yaml.safe_dump(commit.document()["spec"], sort_keys=False, default_flow_style=None, width=76).rstrip()
    return [
        _identity(commit, history.refs.get(commit.id, []), bad=commit.id in history.bad),
        "",
        metrics_view(history.metrics[-1]),
        "",
        _accuracies(history),
        "",
        *_classes(commit),
        *_capabilities(commit),
        _stored(commit),
        "",
        "\n".join(f"  {line}" for line in ("specification (what influenced the commit):", *spec.splitlines())),
    ]


def _identity(commit: Commit, refs: list[str], *, bad: bool) -> Table:
    from rich.table import Table

    from orchestrator.cli.support.local_time import local_time
    from orchestrator.progress.number_format import classes, count, duration

    experience = commit.experience
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("commit", commit.id, style="bold")
    table.add_row("parent", commit.parent or "none: the first commit of its lineage")
    if refs:
        table.add_row("refs", ", ".join(refs))
    if bad:
        table.add_row("bad", "it was rolled back: no run trains on from it (everlearn audit says why)", style="red")
    table.add_row("pipeline", commit.pipeline)
    held = f", classes {classes(experience.classes, 50)}" if experience.classes else ""
    table.add_row("experience", f"{experience.index}{held}")
    work = f"{count(experience.samples, 'sample')}, {count(commit.steps, 'step')}"
    table.add_row("training", f"{work}, {duration(sum(commit.timings.values()))}")
    if commit.task_labels:
        table.add_row("task labels", f"{commit.task_labels} during evaluation")
    table.add_row("created", local_time(commit.created))
    for record in commit.forgotten:
        table.add_row("forgotten", f"{count(record.samples, 'sample')} of its memories, {local_time(record.at)}")
    if commit.thinned:
        table.add_row("record only", f"model and states were removed by everlearn gc, {local_time(commit.thinned)}")
    table.add_row("versions", ", ".join(f"{name} {version}" for name, version in commit.versions.items()))
    return table


def _accuracies(history: History) -> Table:
    from rich.table import Table

    from orchestrator.lineage.accuracy_matrix import accuracy_matrix
    from orchestrator.progress.number_format import percent, signed_percent, unit_text
    from strategies.metrics import score_in

    score = score_in(history.metrics[-1])
    fraction = score.unit == "fraction"
    matrix, _ = accuracy_matrix(history.chain)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("experience", score.title, "when learned", "change"):
        table.add_column(heading, justify="right")
    last = len(matrix) - 1
    for j, now in enumerate(matrix[last]):
        then = matrix[j][j] if j <= last else None
        change = now - then if now is not None and then is not None else None
        cells = [percent(now), percent(then), signed_percent(change)]
        if not fraction:
            cells = [unit_text("number", now), unit_text("number", then), unit_text("signed number", change)]
        table.add_row(str(j), cells[0], cells[1] if j <= last else "", cells[2] if j < last else "")
    return table


def _classes(commit: Commit) -> list[RenderableType]:
    """The classes of lowest accuracy, each with its most frequent wrong predictions; nothing for an older commit."""
    from rich.table import Table

    from orchestrator.lineage.chain_metrics import class_accuracy
    from orchestrator.progress.number_format import percent

    accuracies = class_accuracy(commit)
    if commit.quality is None or not accuracies:
        return []
    worst = sorted(accuracies, key=lambda unit: (accuracies[unit], unit))[:_WORST]
    shown = sorted(accuracies) if len(accuracies) <= _WORST else worst
    totals = {unit: total for unit, _, total in commit.quality.classes}
    wrong = commit.quality.confusion or ()
    heading = "class" if shown != worst else f"worst {len(worst)} of {len(accuracies)} classes"
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in (heading, "accuracy"):
        table.add_column(name, justify="right")
    table.add_column("confused with")
    for unit in shown:
        taken = sorted(((samples, answer) for right, answer, samples in wrong if right == unit), reverse=True)[:3]
        words = ", ".join(f"{answer} ({percent(samples / totals[unit])} %)" for samples, answer in taken)
        table.add_row(str(unit), percent(accuracies[unit]), words)
    return [table, ""]


def _capabilities(commit: Commit) -> list[RenderableType]:
    from orchestrator.progress.capability_table import capability_table

    return [capability_table([commit]), ""] if commit.capabilities else []


def _stored(commit: Commit) -> Table:
    from rich.table import Table

    from orchestrator.progress.number_format import count, short, size

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("stored")
    table.add_column("sha256")
    table.add_column("size", justify="right")
    for name, blob in commit.blobs.items():
        table.add_row(name, short(blob.sha256), size(blob.bytes))
    for name, memory in commit.memories.items():
        for shard in memory.shards:
            kept = count(sum(shard.lengths.values()), "sample")
            table.add_row(
                f"memory.{name}, experience {shard.experience}: {kept}", short(shard.sha256), size(shard.bytes)
            )
    return table
