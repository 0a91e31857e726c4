"""`everlearn sources`: what arrived, and decisions of a person on files in quarantine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.step import drift_of
from orchestrator.cli.support.command_options import (
    Command,
    as_arguments,
    file_argument,
    json_option,
    load,
    program,
    set_option,
)
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from rich.table import Table

    from orchestrator.updates.admission_entries import FileRecord
    from orchestrator.updates.source_decisions import Action, Overview

_MOST = 20


@click.command("sources", cls=Command, short_help="Show what arrived for FILE, and decide on files in quarantine.")
@file_argument()
@click.argument("action", required=False, type=click.Choice(["admit", "reject", "release"]))
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@set_option
@click.option("--reason", default="", help="Why, for the admission log.")
@json_option
def sources(
    file: str, action: Action | None, keys: tuple[str, ...], overrides: tuple[str, ...], reason: str, as_json: bool
) -> None:
    """Show the experiences of FILE, its files in quarantine with the reasons, and what is waiting.

    With an action, decide on files by their keys. admit: the file becomes the next experience, although it is late, a
    duplicate, or was overwritten. reject: the file is skipped, and no longer counts as quarantined. release: the next
    step checks the file again. The decision is kept in the admission log.
    """
    if (action is None) != (not keys):
        raise click.UsageError("an action needs the keys of files, and keys need an action")
    with reserved_stdout() as stdout:
        pipeline = load(file, overrides, import_code=False)

        from orchestrator.updates.source_decisions import decide_on, overview

        if action is not None:
            decided = decide_on(pipeline, action, keys, reason)
            if as_json:
                print_json([one.model_dump(mode="json") for one in decided], stdout)
                return
            for one in decided:
                say(f"{one.key}: {one.reason}", file=stdout)
            say(f"Next: {program()} step {as_arguments(file, overrides)}", file=stdout)
            return
        found = overview(pipeline)
        if as_json:
            print_json(found.to_json(), stdout)
            return
        screen = console(stdout)
        for line in _lines(found):
            screen.print(line, soft_wrap=isinstance(line, str))


def _lines(found: Overview) -> list[Any]:
    from orchestrator.progress.number_format import count

    told: list[Any] = [f"{found.pipeline}: {found.path}"]
    if found.experiences:
        told += ["", _experiences(found)]
    for title, verdicts in (("In quarantine", ("quarantined",)), ("Waiting", ("waiting", "approved", "released"))):
        files = found.of(*verdicts)
        if files:
            told += ["", f"{title}:"]
            told += [f"  {file.key}{_why(found, file)}" for file in files[:_MOST]]
            told += [f"  and {count(len(files) - _MOST, 'more file')}"] if len(files) > _MOST else []
    told += _labels(found)
    skipped = len(found.of("skipped"))
    summary = [count(len(found.experiences), "experience"), f"{found.trained} trained"]
    summary += [f"{count(skipped, 'file')} skipped"] if skipped else []
    summary += [f"{count(found.unknown, 'new file')} for the next step"] if found.unknown else []
    return [*told, "", ", ".join(summary)]


def _why(found: Overview, file: FileRecord) -> str:
    """The reason, the missing labels and the drift of a file that is in no experience."""
    from datetime import UTC, datetime

    from orchestrator.cli.support.local_time import local_time
    from orchestrator.progress.number_format import count

    told = [file.reason] if file.reason else []
    if file.verdict == "waiting" and file.key in found.missing:
        labels = f"{found.missing[file.key]:,} of {count(file.rows or 0, 'row')} without a label"
        at = found.matures.get(file.key)
        told.append(
            labels
            if at is None
            else f"{labels}, waits for them until {local_time(datetime.fromtimestamp(at, UTC).isoformat())}"
        )
    if file.verdict == "waiting" and file.drift is not None and file.drift.drift:
        told.append(drift_of(file.drift))
    return f": {'; '.join(told)}" if told else ""


def _labels(found: Overview) -> list[str]:
    """Lines on labels that arrived and belong to no experience."""
    from orchestrator.progress.number_format import count

    joined = [file for file in found.files if file.verdict == "joined"]
    late = Counter[int]()
    for file in (one for one in found.files if one.late):
        late.update({one.serial: one.labels for one in file.late or ()})
    serials = {one.serial: index for index, one in enumerate(found.experiences)}
    told = [f"{count(len(joined), 'file')} of labels joined"] if joined else []
    told += [f"{count(labels, 'label')} came too late for experience {serials[serial]}"
             for serial, labels in sorted(late.items()) if serial in serials]  # fmt: skip
    return ["", "Labels:", *(f"  {line}" for line in told)] if told else []


def _experiences(found: Overview) -> Table:
    from rich.table import Table

    from orchestrator.progress.number_format import count

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("experience", justify="right")
    table.add_column("rows", justify="right")
    table.add_column("classes")
    table.add_column("files")
    first = max(0, len(found.experiences) - _MOST)
    if first:
        table.add_row("...", "", "", "")
    for index, one in enumerate(found.experiences[first:], start=first):
        files = ", ".join(member.key for member in one.files[:3]) + (", ..." if len(one.files) > 3 else "")
        state = f" ({count(one.unlabelled, 'row')} without a label)" if one.unlabelled else ""
        state += "" if index < found.trained else " (not trained yet)"
        shown = [found.labels[place] if found.labels else place for place in one.classes[:8]]
        table.add_row(str(index), f"{one.rows:,}", ", ".join(map(str, shown)), files + state)
    return table
