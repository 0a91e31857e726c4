"""`everlearn promote`: make a commit the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.lineage.decisions import Decision
    from orchestrator.lineage.lineage import Lineage


@click.command("promote", cls=Command, short_help="Make a commit of FILE the champion.")
@file_argument()
@click.argument("commit", required=False)
@set_option
@click.option("--force", is_flag=True, help="Promote it whatever the gate says; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the record.")
@json_option
def promote(file: str, commit: str | None, overrides: tuple[str, ...], force: bool, reason: str, as_json: bool) -> None:
    """Make COMMIT the champion: the model in use, which the ref `champion` names.

    COMMIT is the first characters of an id, or a ref; by default the commit that is proposed, else `latest`. A commit
    that was not judged yet is judged first. One that the gate refuses is not promoted: nothing changes, and the exit
    status is 5.
    """
    if force and not reason.strip():
        raise click.UsageError("--force needs --reason TEXT.", click.get_current_context())
    with reserved_stdout() as stdout:
        decision = _promote(file, commit, overrides, force, reason)
        if as_json:
            print_json(decision.model_dump(mode="json"), stdout)
            return
        say(sentence(decision), file=stdout)


def sentence(decision: Decision) -> str:
    """What a promotion or a rollback did, in one line."""
    from orchestrator.progress.number_format import short

    before = f"{short(decision.champion)} before" if decision.champion else "the first"
    why = f": {decision.reason}" if decision.reason else ""
    forced = ", forced" if decision.forced else ""
    return f"champion {short(decision.commit)} ({before}, decision {decision.number}{forced}){why}"


def _promote(file: str, word: str | None, overrides: tuple[str, ...], force: bool, reason: str) -> Decision:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.cli.support.follow_champion import follow_champion, warn
    from orchestrator.lineage.decisions import decision_state, newest_first
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.updates import promotion
    from orchestrator.updates.admitted_stream import stream_of

    pipeline = load(file, overrides, import_code=not force)
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    last = next(newest_first(lineage), None)
    commit = find_commit(lineage.store, word or _waiting(lineage), [pipeline.name])[1]
    known = force or commit == decision_state(lineage).champion
    stream = None if known else stream_of(pipeline)
    decision = promotion.promote(
        lineage,
        commit,
        pipeline.gate,
        force=force,
        reason=reason,
        pipeline=None if known else pipeline,
        stream=stream,
        on_warning=warn,
    )
    follow_champion(pipeline, lineage, since=last.number if last else 0, stream=stream)
    return decision


def _waiting(lineage: Lineage) -> str:
    from orchestrator.lineage.decisions import decision_state

    return decision_state(lineage).proposed or "latest"
