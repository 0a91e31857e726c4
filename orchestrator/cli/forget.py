"""`everlearn forget`: remove samples from every memory permanently."""

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
from orchestrator.progress.printable import say

if TYPE_CHECKING:
    from orchestrator.maintenance.forget_samples import Forgotten

UNFINISHED = 1


@click.command("forget", cls=Command, short_help="Remove samples from every memory permanently.")
@file_argument()
@set_option
@click.option(
    "--ids",
    "ids_file",
    type=click.Path(),
    metavar="FILE",
    help="File with the ids of the samples, one per line. Without it, an interrupted forget is completed.",
)
@click.option("--text", is_flag=True, help="Read all ids as text, even those that look like numbers.")
@json_option
def forget(file: str, overrides: tuple[str, ...], ids_file: str | None, text: bool, as_json: bool) -> int:
    """Remove samples by id from the memories of all commits of FILE's pipeline, and never store them again.

    Their bytes are deleted from the store. Each commit records when and how many samples were removed, and a salted
    hash of each id is kept. The models are not changed: they keep what they have learned from these samples. Fails
    while another command is working on the pipeline.
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

    pipeline = load(file, overrides, import_code=False)
    ids = read_ids(Path(ids_file), text=text) if ids_file is not None else []
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    return remove(lineage, ids, on_warning=lambda text: say(text, err=True))


def read_ids(path: Path, *, text: bool = False) -> list[int]:
    """The ids in a file, one per line: whole numbers as they are, text as a dataset with text ids numbers them.

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
        raise PipelineError([f"{path}: has no ids; write one per line"])
    if text or not all(re.fullmatch(r"[+-]?\d{1,19}", word) for word in words):
        return [int(number) for number in id_numbers(np.array(words, dtype=object), str(path))]
    numbers = [int(word) for word in words]
    for number in numbers:
        if not -(2**63) <= number < 2**63:
            raise PipelineError([f"{path}: {number} is not an id: it does not fit into 64 bits"])
    return numbers


def _lines(forgotten: Forgotten, arguments: str) -> list[str]:
    from orchestrator.progress.number_format import count, short

    lines = []
    if forgotten.test_samples:
        lines.append(f"{count(forgotten.test_samples, 'sample')} removed from the test sets of {forgotten.pipeline}")
    if forgotten.commits:
        removed = f"{count(forgotten.samples, 'sample')} removed from the memories of {forgotten.pipeline}"
        commits = ", ".join(short(id_) for id_ in forgotten.commits[:6])
        more = f" and {len(forgotten.commits) - 6} more" if len(forgotten.commits) > 6 else ""
        lines += [f"{removed}: commits {commits}{more}"]
        lines += [
            "The models keep what they learned from them. To remove that too, delete the samples from the data:",
            f"`{program()} run {arguments}` then trains again from the first experience that had them.",
        ]
    else:
        lines += [f"{forgotten.pipeline}: no memory holds any of these samples, and none will store them again"]
    for key in forgotten.unreadable:
        lines.append(f"damaged, and may still hold some of the samples: {key}")
    if forgotten.unreadable:
        lines.append("Restore or delete the damaged objects (see everlearn fsck), then run this command again.")
    return lines
