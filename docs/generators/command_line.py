"""The reference page of the command line: every command, argument and option, from click."""

from __future__ import annotations

import inspect
import re

import click

from generators.option_table import table
from orchestrator.cli.main import everlearn

_HEAD = """# The command line

Every command takes `-h`. `--json` prints one JSON document on stdout and everything else on stderr. Exit status:

| status | meaning |
| --- | --- |
| 0 | done |
| 1 | the run failed |
| 2 | the file or the arguments are wrong |
| 3 | storage, tracking or cluster unavailable |
| 4 | `step`: more files in quarantine than `max_quarantined`; nothing was trained |
| 5 | `gate`, `promote`, `step`: the gate refuses the model |
| 130, 143 | interrupted by Ctrl-C, terminated |

`fsck` ends with 1 where it found damage.

"""


def page() -> str:
    """The page in Markdown."""
    context = click.Context(everlearn, info_name="everlearn")
    names = everlearn.list_commands(context)
    commands = [(name, everlearn.commands[name]) for name in names]
    overview = table(
        ("command", "what it does"),
        [(f"[`{name}`](#{name})", command.get_short_help_str(limit=200)) for name, command in commands],
    )
    return _HEAD + overview + "\n" + "".join(_command(name, command, context) for name, command in commands)


def _command(name: str, command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(["everlearn", name, *command.collect_usage_pieces(context)])
    text = f"## `{name}` {{ #{name} }}\n\n```text\n{usage}\n```\n\n{_help(command)}\n\n"
    rows = [record for parameter in command.get_params(context) if (record := _record(parameter, context)) is not None]
    return text + (table(("option", "meaning"), rows) + "\n" if rows else "")


def _help(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").replace("\f", "")
    # click keeps the line breaks of a paragraph that begins with a backspace.
    return re.sub(r"\x08\n((?:.+\n?)+)", lambda match: f"```text\n{match[1].rstrip()}\n```\n", text)


def _record(parameter: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, meaning = record
    # What an argument is, the text of the command says.
    return (f"`{names}`", meaning) if meaning else None
