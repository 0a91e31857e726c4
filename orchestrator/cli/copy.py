"""`everlearn copy`: copy pipelines from one store to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.maintenance.copy_store import Copied

INCOMPLETE = 1


@click.command("copy", cls=Command, short_help="Copy pipelines from one store to another.")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--pipeline", "pipelines", metavar="NAME", multiple=True, help="Copy only this pipeline. Repeatable.")
@json_option
def copy(source: str, target: str, pipelines: tuple[str, ...], as_json: bool) -> int:
    """Copy the commits, blobs and refs of all pipelines in the store SRC to the store DST. Each is a folder or
    s3://bucket/prefix.

    Every byte is verified against its SHA-256 before and after it is sent. After an interruption, run the same command
    to resume. Exit status: 0 everything was copied, 1 damaged objects at SRC were not copied.
    """
    with reserved_stdout() as stdout:
        copied = _copy(source, target, pipelines)
        if as_json:
            print_json({"pipelines": [each.to_json() for each in copied]}, stdout)
        else:
            screen = console(stdout)
            for each in copied:
                for line in _lines(each):
                    screen.print(line, soft_wrap=True)
    return INCOMPLETE if any(each.problems for each in copied) else 0


def _copy(source: str, target: str, pipelines: tuple[str, ...]) -> list[Copied]:
    from orchestrator.cli.support.progress_line import progress_line
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.maintenance.check_store import unknown_pipelines
    from orchestrator.maintenance.copy_store import copy as send
    from orchestrator.storage.open_by_uri import open_store
    from pipelines.config.pipeline_errors import PipelineError

    origin, destination = open_store(source), open_store(target)
    if origin.uri == destination.uri:
        raise PipelineError([f"{origin.uri}: SRC and DST are the same store"])
    outer, inner = sorted((f"{uri.rstrip('/')}/" for uri in (origin.uri, destination.uri)), key=len)
    if inner.startswith(outer):
        raise PipelineError([f"{destination.uri}: SRC and DST lie one in the other. Choose a DST beside {origin.uri}"])
    names, _ = unknown_pipelines(origin)
    for name in pipelines:
        if name not in names:
            known = f"there are {', '.join(names[:10])}" if names else "the store is empty; check SRC"
            raise PipelineError([f"{origin.uri}: no pipeline is called '{name}': {known}"])
    if not names:
        raise PipelineError([f"{origin.uri}: no pipelines are stored here; check SRC"])
    destination.check()
    copied = []
    with progress_line() as update:
        for name in dict.fromkeys(pipelines or names):
            copied.append(
                send(
                    Lineage(origin, name),
                    Lineage(destination, name),
                    progress=lambda part, done, total, name=name: update(f"{name}: {part}", done, total),  # type: ignore[misc]
                    on_warning=lambda text: say(text, err=True),
                )
            )
    return copied


def _lines(copied: Copied) -> list[str]:
    from orchestrator.progress.number_format import count, size

    parts = [count(copied.commits, "commit"), count(copied.blobs, "blob"), count(copied.refs, "ref")]
    line = f"{copied.pipeline}: {', '.join(parts)} copied, {size(copied.bytes)}"
    line += f"; {count(copied.same, 'object')} were there already" if copied.same else ""
    line += f"; {copied.kept} that only the destination has were kept" if copied.kept else ""
    lines = [line]
    if copied.replaced:
        lines.append(f"  {count(copied.replaced, 'commit')} replaced; everlearn gc removes there what they needed")
    return lines + [f"  {problem}" for problem in copied.problems]
