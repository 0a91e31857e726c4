"""A file or folder of data that is written whole or not at all, on this machine or in S3."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.location import UNFINISHED, Location


@contextmanager
def new_target(target: Location, *, folder: bool) -> Iterator[tuple[Path, Path]]:
    """Where to write, and a folder for temporary files; what was written becomes the target when the block ends.

    A local target is renamed. A file in S3 appears when all of it is there; a folder bears a mark, `UNFINISHED`, until
    all its files are there, and is refused by who reads it. An error removes what was written.

    Args:
        target: does not exist.
        folder: whether it becomes a folder.

    Raises:
        DataError: the target cannot be written.
    """
    try:
        if target.remote:
            with (
                tempfile.TemporaryDirectory(prefix="everlearn-shuffle-") as name,
                _uploaded(target, Path(name), folder=folder) as places,
            ):
                yield places
        else:
            path = Path(target.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Beside the target: on the same disk, and complete before it has its name.
            with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as name:
                made = Path(name) / "made"
                yield made, Path(name)
                made.rename(path)
    except OSError as error:
        reason = error.strerror or str(error).strip().partition("\n")[0]
        raise DataError(f"{target.path}: cannot be written: {reason}") from error


@contextmanager
def _uploaded(target: Location, temporary: Path, *, folder: bool) -> Iterator[tuple[Path, Path]]:
    from pyarrow import fs

    system, path = target.file_system()
    made, mark = temporary / "made", f"{path}/{UNFINISHED}"
    # At once, so that a bucket that is not there or cannot be written to is known before the work.
    if system.get_file_info(path.partition("/")[0]).type == fs.FileType.NotFound:
        raise FileNotFoundError(errno.ENOENT, "there is no such bucket")
    if folder:
        system.open_output_stream(mark).close()
    try:
        yield made, temporary
        for file in sorted(one for one in made.rglob("*") if one.is_file()) if folder else [made]:
            key = f"{path}/{file.relative_to(made).as_posix()}" if folder else path
            fs.copy_files(str(file), key, source_filesystem=fs.LocalFileSystem(), destination_filesystem=system)
        if folder:
            system.delete_file(mark)
    except BaseException:
        with suppress(OSError):
            (system.delete_dir if folder else system.delete_file)(path)
        raise
