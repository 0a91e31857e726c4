"""`everlearn backfill`: train the past again, on a branch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

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
    from orchestrator.updates.retrain_past import Cost
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


@click.command("backfill", cls=Command, short_help="Train the past of FILE again, on a branch.")
@file_argument()
@set_option
@click.option("--yes", is_flag=True, help="Train, without asking.")
@click.option("--adopt", is_flag=True, help="Use the branch: latest moves to it, and steps continue from it.")
@click.option("--ref", default="backfill", show_default=True, metavar="NAME", help="The name of the branch.")
@click.option("--all", "everything", is_flag=True, help="Read every file again, also where no change is known.")
@click.option("--without-missing", is_flag=True, help="Leave out the experiences whose files are gone.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Number of Ray workers.")
@click.option("--address", metavar="RAY", help="Address of a Ray cluster, as in `everlearn run`.")
@json_option
@click.pass_obj
def backfill(
    settings: Settings,
    file: str,
    overrides: tuple[str, ...],
    yes: bool,
    adopt: bool,
    ref: str,
    everything: bool,
    without_missing: bool,
    workers: int | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Train again what FILE has learned: its settings have changed, files were overwritten, or labels came too late.

    Says first what that costs, and asks. It trains on a branch: latest and the admission log stay as they are, and
    steps continue as before, until --adopt. Run it again to resume after an interruption.
    """
    settings.interrupted = "Interrupted. Run the same command to continue: what was trained is reused."
    with reserved_stdout() as stdout:
        pipeline = load(file, overrides)

        from orchestrator.training import driver
        from orchestrator.updates.retrain_past import Backfill

        def train(pipeline: Pipeline, stream: Stream, ref: str) -> tuple[int, str]:
            with reporter_of(as_arguments(file, overrides), True) as reporter:
                made = driver.run(
                    pipeline,
                    workers=workers,
                    address=address,
                    reporter=reporter,
                    verbose=settings.verbose,
                    stream=stream,
                    ref=ref,
                )
            return made.trained, made.lineage[-1]

        found = Backfill(pipeline, everything=everything)
        cost = found.cost()
        outcome: dict[str, Any] = {**cost.to_json(), "trained": None, "commit": None, "adopted": False}
        command = f"{program()} backfill {as_arguments(file, overrides)}"
        if not as_json:
            for line in _lines(cost):
                say(line, file=stdout)
        if adopt:
            outcome |= {"commit": found.adopt(without_missing=without_missing), "adopted": True}
            _tell(f"latest is commit {outcome['commit'][:12]} now; steps continue from it", stdout, as_json)
        elif cost.again and (yes or _agreed(as_json)):
            trained, commit = found.train(train, ref=ref, without_missing=without_missing)
            outcome |= {"trained": trained, "commit": commit}
            _tell(f"{ref} is commit {commit[:12]}. To use it: {command} --adopt", stdout, as_json)
        elif cost.again:
            _tell(f"Nothing was trained. To train it: {command} --yes", stdout, as_json)
        if as_json:
            print_json(outcome, stdout)


def _agreed(as_json: bool) -> bool:
    return not as_json and sys.stdin.isatty() and click.confirm("Train it?", err=True)


def _tell(text: str, out: TextIO, as_json: bool) -> None:
    if not as_json:
        say(text, file=out)


def _lines(cost: Cost) -> list[str]:
    from orchestrator.progress.number_format import count, size

    if not cost.again:
        return [
            f"{cost.pipeline}: nothing to train again: {count(cost.experiences, 'experience')}, none of them changed"
        ]
    told = [
        f"{cost.pipeline}: {count(cost.again, 'experience')} of {cost.experiences}, from experience {cost.first} on: "
        f"{count(cost.rows, 'row')} in {count(cost.files, 'file')}, {size(cost.bytes)}"
    ]
    if cost.seconds:
        told.append(f"they took {cost.seconds:.0f} s when they were trained last")
    for title, keys in (("another content", cost.changed), ("gone", cost.missing)):
        if keys:
            told.append(f"{title}: {', '.join(keys[:10])}{', ...' if len(keys) > 10 else ''}")
    if cost.late:
        told.append(f"{count(cost.late, 'label')} that came too late count then")
    return told
