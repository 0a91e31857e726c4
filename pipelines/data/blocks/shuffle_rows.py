"""Rewriting parquet files with their rows shuffled, in bounded memory: two passes over the data.

The first pass deals the rows to temporary files, at random; the second reads one of these after the other, shuffles it
and writes row groups. So every order of the rows is as likely as any other. What comes out depends on the rows, the
seed and the options alone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import experience_files
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_reader import opened_parquet
from strategies.loop.seeded_random import generator

MOST_FILES = 256
"""Temporary files that are open at a time."""
COPIES = 4
"""Of the rows of a temporary file, while it is shuffled and written."""
_ROWS_AT_ONCE = 16_384

Progress = Callable[[str, int, int], object]
"""Is told what is written, and how many rows of how many are done."""


@dataclass(frozen=True)
class Shuffling:
    """How files are rewritten.

    Attributes:
        seed: of the order.
        rows: in a row group.
        memory: bytes that may be taken, as far as `MOST_FILES` temporary files allow.
    """

    seed: int = 0
    rows: int = 65_536
    memory: int = 2**29


def shuffle(source: Location, target: Path, how: Shuffling, progress: Progress) -> dict[str, int]:
    """Write the rows of each experience in shuffled order: those of a file into a file, those of a folder of files,
    which are one experience, into one file of a folder of its name.

    Args:
        source: a parquet file, a folder of them, or a folder of folders of them.
        target: a file, or a folder; it must not exist.

    Returns:
        The number of rows of each file that was written.

    Raises:
        DataError: files are missing or do not fit, the target exists, or cannot be written.
    """
    if target.exists():
        raise DataError(f"{target}: exists already: remove it, or choose another name")
    found = experience_files(source, ".parquet")
    if isinstance(found, Location):
        work = {target: [found]}
    else:
        work = {
            target / (place.name if files == [place] else f"{place.name}/0.parquet"): files
            for place, files in found.items()
        }
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the target: on the same disk, and complete before it has its name.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as name:
            made = Path(name) / "made"
            rows = {}
            for number, (file, files) in enumerate(work.items()):
                place = made if file == target else made / file.relative_to(target)
                place.parent.mkdir(parents=True, exist_ok=True)
                rows[str(file)] = _shuffle_one(files, place, how, number, Path(name), progress)
            made.rename(target)
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error
    return rows


def _shuffle_one(
    files: Sequence[Location], target: Path, how: Shuffling, number: int, folder: Path, progress: Progress
) -> int:
    schema, rows, size = _looked_at(files)
    parts = min(MOST_FILES, max(1, -(-COPIES * size // how.memory)))
    dealt = folder / "dealt"
    dealt.mkdir()
    _deal(files, schema, dealt, parts, (how.seed, number), lambda done: progress(target.name, done, 2 * rows))
    _join(dealt, schema, target, parts, how, number, lambda done: progress(target.name, rows + done, 2 * rows))
    shutil.rmtree(dealt)
    return rows


def _looked_at(files: Sequence[Location]) -> tuple[Any, int, int]:
    """The schema of the files, their rows, and the bytes of them when they are unpacked."""
    schema, rows, size = None, 0, 0
    for file in files:
        with opened_parquet(file) as opened:
            here, metadata = opened.schema_arrow, opened.metadata
            if schema is not None and not here.equals(schema):
                raise DataError(f"{file.path}: has not the columns and types of {files[0].name}")
            schema = here if schema is None else schema
            rows += metadata.num_rows
            size += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return schema, rows, size


def _deal(
    files: Sequence[Location], schema: Any, folder: Path, parts: int, address: tuple[int, int], progress: Any
) -> None:
    """The first pass."""
    import pyarrow

    seed, number = address
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pyarrow.ipc.new_file(stack.enter_context((folder / str(n)).open("wb")), schema))
            for n in range(parts)
        ]
        done = 0
        for batch in _batches(files):
            part = generator(seed, "shuffle-deal", number, done).integers(0, parts, len(batch))
            order = np.argsort(part, kind="stable")
            edges = np.searchsorted(part[order], np.arange(parts + 1))
            sorted_ = batch.take(pyarrow.array(order))
            for n in np.flatnonzero(np.diff(edges)).tolist():
                writers[n].write_batch(sorted_.slice(edges[n], edges[n + 1] - edges[n]))
            done += len(batch)
            progress(done)


def _batches(files: Sequence[Location]) -> Iterator[Any]:
    for file in files:
        with opened_parquet(file) as opened:
            for group in range(opened.num_row_groups):
                # Over all row groups at once, arrow would keep what it read of the others.
                yield from opened.iter_batches(_ROWS_AT_ONCE, row_groups=[group], use_threads=False)


def _join(folder: Path, schema: Any, target: Path, parts: int, how: Shuffling, number: int, progress: Any) -> None:
    """The second pass."""
    import pyarrow
    from pyarrow import parquet

    done, rest = 0, schema.empty_table()
    with parquet.ParquetWriter(target, schema) as writer:
        for part in range(parts):
            with (folder / str(part)).open("rb") as file:
                table = pyarrow.ipc.open_file(file).read_all()
            order = generator(how.seed, "shuffle-part", number, part).permutation(len(table))
            rest = pyarrow.concat_tables([rest, table.take(pyarrow.array(order))])
            whole = len(rest) if part == parts - 1 else len(rest) // how.rows * how.rows
            if whole:
                writer.write_table(rest.slice(0, whole), row_group_size=how.rows)
            # A copy of its own, so that what was written can be given back.
            rest = pyarrow.concat_tables([rest.slice(whole)]).combine_chunks()
            done += whole
            progress(done)
