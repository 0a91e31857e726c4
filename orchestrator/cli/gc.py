"""`everlearn gc`: remove what is not reachable from a ref."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.maintenance.collect_garbage import Garbage


@click.command("gc", cls=Command, short_help="Remove unreachable commits and blobs from the store.")
@file_argument()
@set_option
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the newest N commits of each ref complete; of older commits keep the record, without model and states.",
)
@click.option("--now", is_flag=True, help="Also remove what is less than an hour old.")
@json_option
def gc(file: str, overrides: tuple[str, ...], dry_run: bool, keep: int | None, now: bool, as_json: bool) -> None:
    """Remove the commits of FILE's pipeline that are not reachable from a ref, such as those of trials, the blobs that
    no commit needs, and the files of runs that failed.

    Fails while a run or a search is working on the pipeline. What is less than an hour old is kept (see --now);
    checkpoints of unfinished experiences are kept for a week.
    """
    with reserved_stdout() as stdout:
        garbage = _collect(file, overrides, dry_run, keep, now)
        if as_json:
            print_json({**garbage.to_json(), "dry_run": dry_run}, stdout)
            return
        screen = console(stdout)
        for line in _lines(garbage, dry_run):
            screen.print(line, soft_wrap=True)


def _collect(file: str, overrides: tuple[str, ...], dry_run: bool, keep: int | None, now: bool) -> Garbage:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.maintenance.collect_garbage import MINIMUM_AGE_S, collect
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides, import_code=False)
    return collect(
        Lineage(open_store(pipeline.storage), pipeline.name),
        keep=keep,
        minimum_age=0.0 if now else MINIMUM_AGE_S,
        dry_run=dry_run,
        on_warning=lambda text: say(text, err=True),
    )


def _lines(garbage: Garbage, dry_run: bool) -> list[str]:
    from orchestrator.progress.number_format import count, short, size

    lines = [f"commit {short(id_)}" for id_ in garbage.commits]
    lines += [f"commit {short(id_)}: its model and states" for id_ in garbage.thinned]
    lines += [f"blob   {short(sha256)} {size(number)}" for sha256, number in sorted(garbage.blobs.items())]
    lines += [f"run    {key}" for key in garbage.runs]
    verb = "would be removed" if dry_run else "removed"
    if not lines:
        return [f"{garbage.pipeline}: nothing to remove, {count(garbage.kept, 'commit')} kept"]
    parts = [count(len(garbage.commits), "commit"), count(len(garbage.blobs), "blob")]
    parts += [f"{count(len(garbage.runs), 'object')} of runs"] if garbage.runs else []
    parts += [f"the states of {count(len(garbage.thinned), 'commit')}"] if garbage.thinned else []
    summary = f"{garbage.pipeline}: {', '.join(parts)} {verb}, {size(garbage.bytes)}"
    return [*(f"  {line}" for line in lines), f"{summary}; {count(garbage.kept, 'commit')} kept"]
