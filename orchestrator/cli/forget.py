"""`everlearn forget`: remove samples from every memory, for good."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

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

if TYPE_CHECKING:
    from orchestrator.maintenance.forget_samples import Forgotten

UNFINISHED = 1


@click.command("forget", cls=Command, short_help="Remove samples from every memory, for good.")
@file_argument()
@set_option
@click.option(
    "--ids",
    "ids_file",
    type=click.Path(),
    metavar="FILE",
    help="The samples' ids, one a line. Without it, an interrupted forget is finished.",
)
@click.option("--text", is_flag=True, help="The ids are text, even those that look like numbers.")
@json_option
def forget(file: str, overrides: tuple[str, ...], ids_file: str | None, text: bool, as_json: bool) -> int:
    """Remove samples by id from the memories of all commits of FILE's pipeline, and keep them out for ever.

    Their bytes are gone from the store afterwards. Commits note when and how many, and a salted hash of each id stays.
    The models keep what they have learned from them. Refuses while a run is at work on the pipeline.
    """
    with reserved_stdout() as stdout:
        forgotten = _forget(file, overrides, ids_file, text)
        if as_json:
            print_json(forgotten.to_json(), stdout)
        else:
            screen = console(stdout)
            for line in _lines(forgotten, as_arguments(file, overrides)):
                screen.print(line, soft_wrap=True)
    return UNFINISHED if forgotten.unreadable else 0


def _forget(file: str, overrides: tuple[str, ...], ids_file: str | None, text: bool) -> Forgotten:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.maintenance.forget_samples import forget as remove
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides)
    ids = read_ids(Path(ids_file), text=text) if ids_file is not None else []
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    return remove(lineage, ids, tell=lambda event: click.echo(event["text"], err=True))


def read_ids(path: Path, *, text: bool = False) -> list[int]:
    """The ids in a file, one a line: whole numbers as they are, text as a data set with ids of text numbers them.

    Raises:
        PipelineError: the file cannot be read, or a number does not fit into 64 bits.
    """
    import numpy as np

    from pipelines.config.pipeline_errors import PipelineError
    from pipelines.data.datasets.labels import id_numbers

    try:
        words = [word.strip() for word in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise PipelineError([f"{path}: cannot be read: {reason}"]) from None
    words = list(dict.fromkeys(word for word in words if word))
    if not words:
        raise PipelineError([f"{path}: no ids in it: write one a line"])
    if text or not all(re.fullmatch(r"[+-]?\d{1,19}", word) for word in words):
        return [int(number) for number in id_numbers(np.array(words, dtype=object), str(path))]
    numbers = [int(word) for word in words]
    for number in numbers:
        if not -(2**63) <= number < 2**63:
            raise PipelineError([f"{path}: {number} is no id: it does not fit into 64 bits"])
    return numbers


def _lines(forgotten: Forgotten, arguments: str) -> list[str]:
    from orchestrator.progress.number_format import count, short

    lines = []
    if forgotten.commits:
        removed = f"{count(forgotten.samples, 'sample')} removed from the memories of {forgotten.pipeline}"
        commits = ", ".join(short(id_) for id_ in forgotten.commits[:6])
        more = f" and {len(forgotten.commits) - 6} more" if len(forgotten.commits) > 6 else ""
        lines += [f"{removed}: commits {commits}{more}"]
        lines += [
            "The models keep what they learned from them. To be rid of that too, take the samples out of the data:",
            f"`{program()} run {arguments}` then trains anew from the first experience that held them.",
        ]
    else:
        lines += [f"{forgotten.pipeline}: no memory held any of them; none will take them in again"]
    for key in forgotten.unreadable:
        lines.append(f"damaged, it may still hold some: {key}")
    if forgotten.unreadable:
        lines.append("Restore or delete what is damaged (everlearn fsck), then run this again.")
    return lines
