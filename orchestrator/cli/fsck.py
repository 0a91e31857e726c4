"""`everlearn fsck`: verify a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.maintenance.store_report import Report

DAMAGED = 1


@click.command("fsck", cls=Command, short_help="Verify everything that is stored.")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@set_option
@click.option("--storage", metavar="URI", help="Store to verify: a folder or s3://bucket/prefix.")
@click.option(
    "--repair", is_flag=True, help="Take what is damaged out of the way of the next run, which trains it again."
)
@json_option
def fsck(file: str | None, overrides: tuple[str, ...], storage: str | None, repair: bool, as_json: bool) -> int:
    """Verify every commit, blob, ref, memory and checkpoint against its hash and against each other.

    Checks the pipeline of FILE, or all pipelines in the store: --storage, else EVERLEARN_STORAGE, else
    .everlearn/store. Reads everything, and may run during training; changes nothing without --repair, which fails
    while another command is working on the pipeline. Exit status: 0 nothing is damaged, 1 something is damaged, 3 the
    storage cannot be read.
    """
    if overrides and file is None:
        raise click.UsageError("--set needs a FILE whose values it sets.", click.get_current_context())
    with reserved_stdout() as stdout:
        uri, reports, unknown, repaired = _check(file, overrides, storage, repair)
        damaged = any(report.damage for report in reports)
        if as_json:
            document = {"storage": uri, "clean": not damaged, "pipelines": [r.to_json() for r in reports]}
            print_json({**document, "unknown": unknown, "repaired": repaired}, stdout)
        else:
            screen = console(stdout)
            for line in repaired:
                screen.print(f"repaired: {line}", soft_wrap=True)
            for report in reports:
                _show(screen, uri, report)
            for key in unknown:
                screen.print(f"not written by Everlearn: {uri}/{key}", soft_wrap=True)
    return DAMAGED if damaged else 0


def _check(
    file: str | None, overrides: tuple[str, ...], storage: str | None, mend: bool
) -> tuple[str, list[Report], list[str], list[str]]:
    from orchestrator.cli.support.progress_line import progress_line
    from orchestrator.errors import StorageError
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.maintenance.check_store import fsck as check
    from orchestrator.maintenance.check_store import unknown_pipelines
    from orchestrator.maintenance.repair_store import repair as repair_store
    from orchestrator.storage.open_by_uri import open_store
    from pipelines.config.environment_variables import DEFAULT_STORAGE, expand

    pipeline = load(file, overrides, import_code=False) if file is not None else None
    store = open_store(storage or (pipeline.storage if pipeline is not None else expand(DEFAULT_STORAGE)))
    unknown: list[str] = []
    if pipeline is not None:
        names = [pipeline.name]
    else:
        names, unknown = unknown_pipelines(store)
    if not any(True for name in names for _ in store.list(f"{name}/")):
        what = f"pipeline {pipeline.name}" if pipeline is not None else "a pipeline"
        raise StorageError(
            f"{store.uri}: nothing of {what} is stored here.\nCheck the storage, or train the pipeline first"
        )
    reports: list[Report] = []
    repaired: list[str] = []
    for name in names if mend else ():
        done = repair_store(Lineage(store, name), check, on_warning=lambda text: say(text, err=True))
        repaired += [f"{name}: {line}" for line in done]
    with progress_line() as update:
        for name in names:
            reports.append(check(Lineage(store, name), lambda done, total, name=name: update(name, done, total)))  # type: ignore[misc]
    return store.uri, reports, unknown, repaired


def _show(screen: Console, uri: str, report: Report) -> None:
    from orchestrator.progress.number_format import count, short, size

    def say(text: str, **style: Any) -> None:
        screen.print(text, soft_wrap=True, **style)

    state = "clean" if not report.damage else f"{count(len(report.damage), 'problem')}"
    what = f"{count(report.commits, 'commit')}, {count(report.blobs, 'blob')}, {size(report.bytes)}"
    say(f"{report.pipeline}: {state} ({what})", style="bold")
    for damage in report.damage:
        hits = f" (commits {', '.join(short(id_) for id_ in damage.commits[:4])}" if damage.commits else ""
        hits += f", and {len(damage.commits) - 4} more" if len(damage.commits) > 4 else ""
        say(f"  {uri}/{damage.key}: {damage.problem}{hits}{')' if damage.commits else ''}", style="red")
    for key in report.unknown:
        say(f"  not written by Everlearn: {uri}/{key}")
    if report.later:
        say(f"  latest was set back to commit {short(report.refs['latest'][0])}: {len(report.later)} later commits are")
        say(f"  stored, the newest is {short(report.later[-1])}. A run reuses those of its pipeline file.")
    if report.unreferenced:
        say(f"  {count(len(report.unreferenced), 'blob')} that no commit needs; `everlearn gc` removes them")
    if report.damage:
        say(f"  usable: {len(report.usable)} of {count(report.commits, 'commit')}")
        for name, (commit, newest) in report.refs.items():
            if newest is None:
                say(f"  {name}: commit {short(commit)} is not usable, nor is any of its ancestors")
            elif newest == commit:
                say(f"  {name}: commit {short(commit)} is usable")
            else:
                say(f"  {name}: commit {short(commit)} is not usable; its newest usable ancestor is {short(newest)}")
        say("  Restore the damaged objects from a copy (everlearn copy), or take the damaged commits out with")
        say("  --repair: the next run trains them again. A commit is not usable while one of its ancestors is missing.")
