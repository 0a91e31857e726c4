"""`everlearn rollback`: go back to an earlier champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.promote import sentence
from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.lineage.decisions import Decision


@click.command("rollback", cls=Command, short_help="Make an earlier commit of FILE the champion again.")
@file_argument()
@set_option
@click.option("--to", metavar="COMMIT", help="The commit to go back to.  [default: the previous champion]")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the record.")
@json_option
def rollback(file: str, overrides: tuple[str, ...], to: str | None, reason: str, as_json: bool) -> None:
    """Make an earlier commit the champion again, and mark the present champion as bad.

    No run continues from a bad commit: its experience is left out, and the next one starts from the commit before it.
    Repeating the command with the same reason changes nothing.
    """
    with reserved_stdout() as stdout:
        decision = _rollback(file, overrides, to, reason)
        if as_json:
            print_json(decision.model_dump(mode="json"), stdout)
            return
        say(sentence(decision), file=stdout)


def _rollback(file: str, overrides: tuple[str, ...], to: str | None, reason: str) -> Decision:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.cli.support.follow_champion import follow_champion, warn
    from orchestrator.lineage.decisions import newest_first
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.updates import promotion

    pipeline = load(file, overrides, import_code=False)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    last = next(newest_first(lineage), None)
    decision = promotion.rollback(
        lineage,
        find_commit(lineage.store, to, [pipeline.name])[1] if to else None,
        reason=reason,
        on_warning=warn,
    )
    follow_champion(pipeline, lineage, since=last.number if last else 0)
    return decision
