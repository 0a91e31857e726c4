"""`everlearn gate`: judge a commit against the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.support.command_options import Command, file_argument, json_option, load, set_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from orchestrator.lineage.decisions import Decision

REFUSED = 5


@click.command("gate", cls=Command, short_help="Judge a commit of FILE against the champion.")
@file_argument()
@click.argument("commit", default="latest")
@set_option
@json_option
def gate(file: str, commit: str, overrides: tuple[str, ...], as_json: bool) -> int:
    """Judge COMMIT (by default `latest`) against the champion, on the same test samples, and record the verdict.

    Nothing is promoted. The conditions are those of the section `gate` of FILE. The exit status is 0 for a commit that
    passed, and 5 for one that was refused or undecided (unless the file says `undecided: promote`). A commit that
    was judged before, under the same conditions and against the same champion, keeps its verdict.
    """
    with reserved_stdout() as stdout:
        verdict, status = _judge(file, commit, overrides)
        if as_json:
            print_json(verdict.model_dump(mode="json"), stdout)
            return status
        screen = console(stdout)
        for part in _parts(verdict):
            screen.print(part, soft_wrap=isinstance(part, str))
        return status


def _judge(file: str, word: str, overrides: tuple[str, ...]) -> tuple[Decision, int]:
    from orchestrator.cli.support.find_commit import find_commit
    from orchestrator.cli.support.follow_champion import follow_champion, warn
    from orchestrator.lineage.decisions import last_decision
    from orchestrator.storage.open_by_uri import open_store
    from orchestrator.updates.admitted_stream import stream_of
    from orchestrator.updates.gate import judge
    from pipelines.config.sections.gate_section import GateSpec

    pipeline = load(file, overrides)
    conditions = pipeline.gate or GateSpec()
    lineage, commit = find_commit(open_store(pipeline.storage), word, [pipeline.name])
    last = last_decision(lineage)
    stream = stream_of(pipeline)
    verdict = judge(lineage, commit, conditions, pipeline=pipeline, stream=stream, on_warning=warn)
    follow_champion(pipeline, lineage, since=last.number if last else 0, stream=stream)
    good = verdict.outcome == "passed" or (verdict.outcome == "undecided" and conditions.undecided == "promote")
    return verdict, 0 if good else REFUSED


def _parts(verdict: Decision) -> list[str | Table]:
    from orchestrator.progress.number_format import short

    champion = short(verdict.champion) if verdict.champion else "no champion"
    parts: list[str | Table] = [
        f"commit {short(verdict.commit)} against {champion}: {verdict.outcome} (decision {verdict.number})",
        f"  {verdict.reason}",
    ]
    findings: Any = verdict.evidence.get("findings") or []
    if findings:
        parts += ["", findings_table(findings)]
    gaps: Any = verdict.evidence.get("gaps") or []
    return parts + [f"  not compared: {gap}" for gap in gaps]


def findings_table(findings: list[Mapping[str, Any]]) -> Table:
    """A row for each finding of a verdict."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("condition", "of", "value", "limit", "samples", "p", "needed", ""):
        table.add_column(heading, justify="left" if heading in ("condition", "of", "") else "right")
    for finding in findings:
        p_value, level = finding["p_refused"], finding["level"]
        table.add_row(
            finding["condition"],
            finding["subject"],
            f"{finding['value']:.4g}",
            f"{finding['limit']:.4g}",
            str(finding["samples"] or ""),
            "" if p_value is None else f"{p_value:.1e}",
            "" if level is None else f"{level:.1e}",
            finding["outcome"],
        )
    return table
