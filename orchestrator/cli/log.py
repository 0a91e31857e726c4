"""`everlearn log`: the lineage of a pipeline, newest commit first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import (
    Command,
    as_arguments,
    file_argument,
    json_option,
    load_place,
    program,
    set_option,
)
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.cli.support.read_history import History
    from orchestrator.lineage.chain_metrics import Metrics
    from orchestrator.lineage.commit import Commit


@click.command("log", cls=Command, short_help="Show the lineage of FILE, newest commit first.")
@file_argument()
@set_option
@json_option
def log(file: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show the lineage of FILE's pipeline: the commit that the ref `latest` names and its ancestors, newest first."""
    if as_json:
        with reserved_stdout() as stdout:
            name, history = _read(file, overrides)
            print_json({"pipeline": name, "commits": [_document(history, i) for i in _newest_first(history)]}, stdout)
        return
    name, history = _read(file, overrides)
    screen = console()
    if not history.chain:
        screen.print(
            f"{name} has no commits yet. Train it: {program()} run {as_arguments(file, overrides)}", soft_wrap=True
        )
    for index in _newest_first(history):
        commit = history.chain[index]
        marks = history.refs.get(commit.id, [])
        screen.print(_entry(commit, history.metrics[index], marks, bad=commit.id in history.bad), soft_wrap=True)


def _read(file: str, overrides: tuple[str, ...]) -> tuple[str, History]:
    from orchestrator.cli.support.read_history import read_history
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store

    name, storage = load_place(file, overrides)
    return name, read_history(Lineage(open_store(storage), name))


def _newest_first(history: History) -> range:
    return range(len(history.chain) - 1, -1, -1)


def _document(history: History, index: int) -> dict[str, Any]:
    commit = history.chain[index]
    return {
        "id": commit.id,
        "parent": commit.parent,
        "experience": commit.document()["experience"],
        "created": commit.created,
        "refs": history.refs.get(commit.id, []),
        "bad": commit.id in history.bad,
        "forgotten": [record.model_dump(mode="json") for record in commit.forgotten],
        "thinned": commit.thinned,
        "metrics": history.metrics[index],
    }


def _entry(commit: Commit, metrics: Metrics, refs: list[str], *, bad: bool) -> Text:
    """Two lines for a commit: its identity, and its metrics."""
    from rich.text import Text

    from orchestrator.cli.support.local_time import local_time
    from orchestrator.progress.number_format import classes, count, metric_text, short
    from strategies.metrics import score_in

    score = score_in(metrics)
    average = f"average_{score.name}"
    text = Text(short(commit.id), style="yellow")
    text.append(f"  experience {commit.experience.index:<3}", style="bold")
    if commit.experience.classes:
        text.append(f" classes {classes(commit.experience.classes)}", style="default")
    if refs:
        text.append(f"  ({', '.join(refs)})", style="bold cyan")
    if bad:
        text.append("  bad: rolled back", style="bold red")
    parts = [local_time(commit.created), f"{score.title} {metric_text(average, metrics.get(average), metrics)}"]
    if metrics["forgetting"] is not None:
        parts.append(f"forgetting {metric_text('forgetting', metrics['forgetting'], metrics)}")
    if commit.forgotten:
        parts.append(f"{count(sum(record.samples for record in commit.forgotten), 'sample')} forgotten")
    if commit.thinned:
        parts.append("record only")
    return text.append("\n    " + "   ".join(parts), style="dim")
