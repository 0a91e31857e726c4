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
    from orchestrator.maintenance.retrain_adapters import Retrained

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
@click.option(
    "--retrain",
    is_flag=True,
    help="Also train again, without them, the adapters that saw the samples, and only these.",
)
@click.option("--text", is_flag=True, help="Read all ids as text, even those that look like numbers.")
@json_option
def forget(
    file: str, overrides: tuple[str, ...], ids_file: str | None, retrain: bool, text: bool, as_json: bool
) -> int:
    """Remove samples by id from the memories of all commits of FILE's pipeline, and never store them again.

    Their bytes are deleted from the store. Each commit records when and how many samples were removed, and a salted
    hash of each id is kept. The models are not changed: they keep what they have learned from these samples. Fails
    while another command is working on the pipeline.

    With --retrain, and the samples taken out of the data before, the models are trained again without them. That needs
    an adapter for each experience that depends on no other: {name: lora, per: experience}, {name: adapter, per:
    experience} or {name: experts}. After an interruption, run the same command again.
    """
    with reserved_stdout() as stdout:
        forgotten, retrained = _forget(file, overrides, ids_file, text, retrain)
        if as_json:
            print_json(forgotten.to_json() | ({} if retrained is None else {"retrained": retrained.to_json()}), stdout)
        else:
            screen = console(stdout)
            for line in _lines(forgotten, retrained, as_arguments(file, overrides)):
                screen.print(line, soft_wrap=True)
    return UNFINISHED if forgotten.unreadable else 0


def _forget(
    file: str, overrides: tuple[str, ...], ids_file: str | None, text: bool, retrain: bool
) -> tuple[Forgotten, Retrained | None]:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.maintenance.forget_samples import forget as remove
    from orchestrator.storage.open_by_uri import open_store

    pipeline = load(file, overrides, import_code=retrain)
    ids = read_ids(Path(ids_file), text=text) if ids_file is not None else []
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)

    def warn(text: str) -> None:
        say(text, err=True)

    if not retrain:
        return remove(lineage, ids, on_warning=warn), None
    from orchestrator.maintenance.retrain_adapters import refuse_dependent, refuse_held
    from orchestrator.maintenance.retrain_adapters import retrain as train_again
    from pipelines.build import make_stream

    refuse_dependent(pipeline)
    stream = make_stream(pipeline)
    refuse_held(stream, ids)
    forgotten = remove(lineage, ids, on_warning=warn)
    return forgotten, train_again(pipeline, stream)


def read_ids(path: Path, *, text: bool = False) -> list[int]:
    """The ids in a file, one per line: whole numbers as they are, text as a dataset with text ids numbers them.

    Raises:
        PipelineError: the file cannot be read, or a number does not fit into 64 bits.
    """
    import numpy as np

    from pipelines.config.pipeline_errors import PipelineError
    from pipelines.data.datasets.labels import id_numbers

    try:
        words = [word.strip() for word in path.read_text(encoding="utf-8-sig").splitlines()]
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


def _lines(forgotten: Forgotten, retrained: Retrained | None, arguments: str) -> list[str]:
    from orchestrator.progress.number_format import count, short

    lines = []
    if forgotten.test_samples:
        lines.append(f"{count(forgotten.test_samples, 'sample')} removed from the test sets of {forgotten.pipeline}")
    if forgotten.commits:
        removed = f"{count(forgotten.samples, 'sample')} removed from the memories of {forgotten.pipeline}"
        commits = ", ".join(short(id_) for id_ in forgotten.commits[:6])
        more = f" and {len(forgotten.commits) - 6} more" if len(forgotten.commits) > 6 else ""
        lines += [f"{removed}: commits {commits}{more}"]
    else:
        lines += [f"{forgotten.pipeline}: no memory holds any of these samples, and none will store them again"]
    if retrained is not None:
        trained = ", ".join(map(str, retrained.trained)) or "none"
        lines += [
            f"Experiences trained again: {trained}; the adapters of {len(retrained.kept)} others are as they were. "
            f"`{program()} gc {arguments}` removes",
            "the commits that no ref reaches any more, with what they learned from the samples.",
        ]
    elif forgotten.commits:
        lines += [
            "The models keep what they learned from them. To remove that too, delete the samples from the data:",
            f"`{program()} run {arguments}` then trains again from the first experience that had them.",
        ]
    for key in forgotten.unreadable:
        lines.append(f"damaged, and may still hold some of the samples: {key}")
    if forgotten.unreadable:
        lines.append("Restore or delete the damaged objects (see everlearn fsck), then run this command again.")
    return lines
