"""`everlearn shuffle`: rewrite parquet files with their rows shuffled."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.support.command_options import Command, json_option
from orchestrator.cli.support.output import console, print_json, reserved_stdout


@click.command("shuffle", cls=Command, short_help="Rewrite parquet files with their rows shuffled.")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the order.")
@click.option("--rows", type=click.IntRange(min=1), default=65_536, show_default=True, help="Rows in a row group.")
@click.option("--memory", type=click.IntRange(min=1), default=512, show_default=True, help="MB of memory to take.")
@json_option
def shuffle(source: str, target: Path, seed: int, rows: int, memory: int, as_json: bool) -> int:
    """Rewrite the parquet file SRC, or those in the folder SRC, with their rows shuffled, into DST. SRC may be in S3.

    For streams with lanes, whose batches mix row groups: where a file is sorted, a row group has few classes. Each
    file, or each folder of files in SRC, stays one experience. The same rows and the same seed give the same file. It
    takes two passes, as much disk space beside DST as SRC has unpacked, and no more memory than said, up to 256 times
    as much data. An interruption leaves no DST.
    """
    from orchestrator.cli.support.progress_line import progress_line
    from pipelines.data.blocks.shuffle_rows import Shuffling
    from pipelines.data.blocks.shuffle_rows import shuffle as rewrite
    from pipelines.data.datasets.location import Location

    with reserved_stdout() as stdout:
        with progress_line() as update:
            made = rewrite(Location.of(source), target.absolute(), Shuffling(seed, rows, memory * 10**6), update)
        if as_json:
            print_json({"files": [{"path": path, "rows": count} for path, count in made.items()]}, stdout)
        else:
            screen = console(stdout)
            for path, count in made.items():
                screen.print(f"{path}: {count:,} rows", soft_wrap=True)
    return 0
