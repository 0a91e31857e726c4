"""`everlearn shuffle`: rewrite parquet files with their rows shuffled."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout


@click.command("shuffle", cls=Command, short_help="Rewrite parquet files with their rows shuffled.")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the order.")
@click.option("--rows", type=click.IntRange(min=1), default=65_536, show_default=True, help="Rows in a row group.")
@click.option("--memory", type=click.IntRange(min=1), default=512, show_default=True, help="Most memory, in MB.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Shuffle with N tasks on a Ray cluster.")
@click.option(
    "--address", metavar="RAY", help="Address of a Ray cluster that shuffles; by default --workers are on a local Ray."
)
@json_option
def shuffle(
    source: str,
    target: str,
    seed: int,
    rows: int,
    memory: int,
    workers: int | None,
    address: str | None,
    as_json: bool,
) -> int:
    """Rewrite the parquet file SRC, or those in the folder SRC, with their rows shuffled, into DST. Both may be in S3.

    For streams with lanes, whose batches mix row groups: where a file is sorted, a row group has few classes. Each
    file, or each folder of files in SRC, stays one experience. The same rows, seed and options give the same file,
    with and without a cluster. It reads the data twice, and takes as much disk space as SRC has
    unpacked: beside DST, or, for S3, in the folder for temporary files. SRC may be up to 256 times as large as
    --memory. With --workers or --address, tasks of a Ray cluster read and shuffle, each with --memory; this process
    writes. An interruption leaves no DST, or, in S3, a folder that is refused as unfinished.
    """
    from orchestrator.cli.support.progress_line import progress_line
    from pipelines.data.blocks.shuffle_rows import Shuffling
    from pipelines.data.blocks.shuffle_rows import shuffle as rewrite
    from pipelines.data.datasets.location import Location

    how = Shuffling(seed, rows, memory * 10**6)
    with reserved_stdout() as stdout:
        with _tasks(workers, address) as way, progress_line() as update:
            made = rewrite(Location.of(source), Location.of(target), how, update, way)
        if as_json:
            print_json({"files": [{"path": path, "rows": count} for path, count in made.items()]}, stdout)
        else:
            screen = console(stdout)
            for path, count in made.items():
                screen.print(f"{path}: {count:,} rows", soft_wrap=True)
    return 0


def _tasks(workers: int | None, address: str | None) -> AbstractContextManager[Any]:
    """What deals and shuffles: tasks of a cluster, or None for this process."""
    if not workers and not address:
        return nullcontext()
    from orchestrator.cluster.log_levels import quiet
    from orchestrator.cluster.shuffle_tasks import shuffle_tasks

    quiet()
    return shuffle_tasks(workers, address)
