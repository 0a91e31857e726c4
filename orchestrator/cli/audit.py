"""`everlearn audit`: every decision on the champion, with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load_place, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.lineage.decisions import Decision


@click.command("audit", cls=Command, short_help="Show every decision on the champion of FILE.")
@file_argument()
@set_option
@json_option
def audit(file: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show the decisions of FILE's pipeline, newest first: who, when, from, to, why.

    They are verdicts, promotions and rollbacks, and with a section `update` what was trained when, and what it took.

    Each record names the one before by its hash; a history that was changed is an error. --json adds the evidence.
    """
    if as_json:
        with reserved_stdout() as stdout:
            name, decisions = _read(file, overrides)
            listed = [decision.model_dump(mode="json") for decision in decisions]
            print_json({"pipeline": name, "decisions": listed}, stdout)
        return
    name, decisions = _read(file, overrides)
    screen = console()
    if not decisions:
        screen.print(f"{name}: no decision yet. everlearn gate {file} judges the newest commit", soft_wrap=True)
    for decision in decisions:
        screen.print(_entry(decision), soft_wrap=True)


def _read(file: str, overrides: tuple[str, ...]) -> tuple[str, list[Decision]]:
    from orchestrator.lineage.decisions import newest_first
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store

    name, storage = load_place(file, overrides)
    return name, list(newest_first(Lineage(open_store(storage), name)))


def _entry(decision: Decision) -> Text:
    """Two lines: what was decided, and who, when and why."""
    from rich.text import Text

    from orchestrator.cli.support.local_time import local_time
    from orchestrator.progress.number_format import short

    words: dict[str, Any] = {
        "verdict": f"{decision.outcome} {short(decision.commit)}",
        "proposal": f"proposed {short(decision.commit)}",
        "promotion": f"promoted {short(decision.commit)}",
        "rollback": f"rolled back to {short(decision.commit)}",
        "update": "to be trained" if decision.outcome == "train" else "not trained yet",
        "retune": f"settings searched from {short(decision.commit)} on",
        "training": f"trained {short(decision.commit)}",
    }
    text = Text(f"{decision.number:>4}  ", style="dim")
    text.append(words[decision.kind], style="bold")
    text.append(f"  champion before: {short(decision.champion) if decision.champion else 'none'}")
    text.append("  forced" if decision.forced else "", style="bold red")
    why = f"   {decision.reason}" if decision.reason else ""
    return text.append(f"\n      {local_time(decision.at)}   {decision.by}{why}", style="dim")
