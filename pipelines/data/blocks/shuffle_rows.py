"""Rewriting parquet files with their rows shuffled, in bounded memory: two passes over the data.

The first pass deals the rows to parts, at random; the second takes one of these after the other, shuffles it and writes
row groups. So every order of the rows is as likely as any other. What comes out depends on the rows, the seed and the
options alone: not on who deals and shuffles the parts.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blocks.block_dataset import experience_files
from pipelines.data.blocks.new_target import new_target
from pipelines.data.datasets.location import Location
from pipelines.data.datasets.parquet_reader import opened_parquet
from strategies.loop.seeded_random import generator

MOST_FILES = 256
"""Parts, which are temporary files that are open at a time."""
COPIES = 4
"""Of the rows of a part, while it is shuffled and written."""
_ROWS_AT_ONCE = 16_384

Progress = Callable[[str, int, int], object]
"""Is told what is written, and how many rows of how many are done."""


@dataclass(frozen=True)
class Shuffling:
    """How files are rewritten.

    Attributes:
        seed: of the order.
        rows: in a row group.
        memory: bytes that may be taken, as far as `MOST_FILES` parts allow.
    """

    seed: int = 0
    rows: int = 65_536
    memory: int = 2**29


@dataclass(frozen=True)
class Run:
    """Row groups of a file that follow one another.

    Attributes:
        file: its place among the files of the experience.
        groups: numbers of the row groups.
        start, rows: of its rows among all rows of the experience.
    """

    file: int
    groups: range
    start: int
    rows: int


@dataclass(frozen=True)
class Dealing:
    """One experience: how its rows are dealt to parts, and how a part is shuffled.

    Attributes:
        files: the parquet files.
        schema: of them all.
        parts: number of parts.
        runs: all row groups, in their order.
        seed: of the order.
        number: of the experience.
    """

    files: tuple[Location, ...]
    schema: Any
    parts: int
    runs: tuple[Run, ...]
    seed: int
    number: int

    @property
    def rows(self) -> int:
        """Of all files."""
        return sum(run.rows for run in self.runs)

    def dealt(self, run: Run) -> Iterator[list[tuple[int, Any]]]:
        """The first pass: the parts, with the rows that they get, of some rows of a run after the other."""
        import pyarrow

        done = run.start
        with opened_parquet(self.files[run.file]) as opened:
            for group in run.groups:
                # Over all row groups at once, arrow would keep what it read of the others.
                for batch in opened.iter_batches(_ROWS_AT_ONCE, row_groups=[group], use_threads=False):
                    part = generator(self.seed, "shuffle-deal", self.number, done).integers(0, self.parts, len(batch))
                    order = np.argsort(part, kind="stable")
                    edges = np.searchsorted(part[order], np.arange(self.parts + 1))
                    mixed = batch.take(pyarrow.array(order))
                    found = np.flatnonzero(np.diff(edges)).tolist()
                    yield [(n, mixed.slice(edges[n], edges[n + 1] - edges[n])) for n in found]
                    done += len(batch)

    def shuffled(self, part: int, table: Any) -> Any:
        """The second pass: the rows of a part, which come in the order in which they were dealt."""
        import pyarrow

        return table.take(
            pyarrow.array(generator(self.seed, "shuffle-part", self.number, part).permutation(len(table)))
        )


Way = Callable[[Dealing, Path, Callable[[int], object]], Iterator[Any]]
"""Gives the shuffled parts, arrow tables, in their order. It is given a folder for temporary files, and what it tells
the number of rows that have been dealt."""


def shuffle(
    source: Location, target: Location, how: Shuffling, progress: Progress, way: Way | None = None
) -> dict[str, int]:
    """Write the rows of each experience in shuffled order: those of a file into a file, those of a folder of files,
    which are one experience, into one file of a folder of its name.

    Args:
        source: a parquet file, a folder of them, or a folder of folders of them.
        target: a file, or a folder; it must not exist.
        way: who deals and shuffles; None: this process, by temporary files. What is written is the same.

    Returns:
        The number of rows of each file that was written.

    Raises:
        DataError: files are missing or do not fit, the target exists, or cannot be written.
    """
    if target.exists():
        raise DataError(f"{target.path}: exists already: remove it, or choose another name")
    found = experience_files(source, ".parquet")
    if isinstance(found, Location):
        work = {"": [found]}
    else:
        work = {place.name if files == [place] else f"{place.name}/0.parquet": files for place, files in found.items()}
    rows = {}
    with new_target(target, folder="" not in work) as (made, folder):
        for number, (name, files) in enumerate(work.items()):
            place = made / name if name else made
            place.parent.mkdir(parents=True, exist_ok=True)
            dealing = _looked_at(files, how, number)
            _write(dealing, place, how.rows, folder, (target / name if name else target).name, progress, way or _alone)
            rows[(target / name if name else target).path] = dealing.rows
    return rows


def _looked_at(files: Sequence[Location], how: Shuffling, number: int) -> Dealing:
    schema, start, size = None, 0, 0
    runs: list[Run] = []
    most = how.memory // COPIES
    for place, file in enumerate(files):
        with opened_parquet(file) as opened:
            here, metadata = opened.schema_arrow, opened.metadata
            if schema is not None and not here.equals(schema):
                raise DataError(f"{file.path}: has not the columns and types of {files[0].name}")
            schema = here if schema is None else schema
            first, rows, taken = 0, 0, 0
            for group in range(metadata.num_row_groups):
                told = metadata.row_group(group)
                if rows and taken + told.total_byte_size > most:
                    runs.append(Run(place, range(first, group), start, rows))
                    first, start, rows, taken = group, start + rows, 0, 0
                rows, taken, size = rows + told.num_rows, taken + told.total_byte_size, size + told.total_byte_size
            runs.append(Run(place, range(first, metadata.num_row_groups), start, rows))
            start += rows
    parts = min(MOST_FILES, max(1, -(-COPIES * size // how.memory)))
    return Dealing(tuple(files), schema, parts, tuple(runs), how.seed, number)


def _alone(dealing: Dealing, folder: Path, told: Callable[[int], object]) -> Iterator[Any]:
    import pyarrow

    dealt = folder / "dealt"
    dealt.mkdir()
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pyarrow.ipc.new_file(stack.enter_context((dealt / str(n)).open("wb")), dealing.schema))
            for n in range(dealing.parts)
        ]
        done = 0
        for run in dealing.runs:
            for pieces in dealing.dealt(run):
                for part, rows in pieces:
                    writers[part].write_batch(rows)
                    done += len(rows)
                told(done)
    for part in range(dealing.parts):
        with (dealt / str(part)).open("rb") as file:
            yield dealing.shuffled(part, pyarrow.ipc.open_file(file).read_all())
    shutil.rmtree(dealt)


def _write(dealing: Dealing, target: Path, rows: int, folder: Path, name: str, progress: Progress, way: Way) -> None:
    import pyarrow
    from pyarrow import parquet

    done, rest, every = 0, dealing.schema.empty_table(), 2 * dealing.rows
    with parquet.ParquetWriter(target, dealing.schema) as writer:
        parts = way(dealing, folder, lambda dealt: progress(name, dealt, every))
        for part, table in enumerate(parts):
            rest = pyarrow.concat_tables([rest, table])
            whole = len(rest) if part == dealing.parts - 1 else len(rest) // rows * rows
            if whole:
                writer.write_table(rest.slice(0, whole), row_group_size=rows)
            # A copy of its own, so that what was written can be given back.
            rest = pyarrow.concat_tables([rest.slice(whole)]).combine_chunks()
            done += whole
            progress(name, dealing.rows + done, every)
