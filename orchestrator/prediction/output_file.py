"""The file that predictions are written to: under a temporary name until it is complete."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from pipelines.config.pipeline_errors import PipelineError

SUFFIXES = (".parquet", ".csv", ".jsonl")


class Writer(Protocol):
    """Takes arrow tables of the same columns, one after another."""

    def write(self, table: Any) -> None: ...

    def close(self) -> None: ...


@contextmanager
def output_file(path: Path, *, replace: bool) -> Iterator[Writer]:
    """A writer into a new file, which has its name only when the block ends without an error.

    Args:
        path: ends in one of `SUFFIXES`, which decides the format.
        replace: whether a file that is there is replaced.

    Raises:
        PipelineError: another suffix, a file that is there, or a folder that cannot be written.
    """
    if "://" in str(path) or path.suffix not in SUFFIXES:
        raise PipelineError(f"--output {path}: must be a file on this machine that ends in {', '.join(SUFFIXES)}")
    if path.is_dir() or (not replace and path.exists()):
        what = "is a folder: name a file in it" if path.is_dir() else "exists already: --force replaces it"
        raise PipelineError(f"--output {path}: {what}")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("xb") as file:
            writer = _WRITERS[path.suffix](file)
            yield writer
            writer.close()
            file.flush()
            os.fsync(file.fileno())
        _publish(partial, path, replace)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM):
            raise
        raise PipelineError(f"--output {path}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def _publish(partial: Path, path: Path, replace: bool) -> None:
    """Give the file its name; without `replace` one that came there meanwhile is kept."""
    if not replace:
        try:
            os.link(partial, path)
            return
        except FileExistsError:
            raise PipelineError(f"--output {path}: exists already: --force replaces it") from None
        except OSError:  # a file system without links
            pass
    partial.replace(path)


class _Parquet:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._writer: Any = None

    def write(self, table: Any) -> None:
        from pyarrow import parquet

        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Csv:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._writer: Any = None

    def write(self, table: Any) -> None:
        from pyarrow import csv

        if self._writer is None:
            options = csv.WriteOptions(quoting_style="needed")
            self._writer = csv.CSVWriter(self._file, table.schema, write_options=options)
        self._writer.write(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class _Jsonl:
    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, table: Any) -> None:
        for row in table.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")

    def close(self) -> None:
        return


_WRITERS: dict[str, Callable[[Any], Writer]] = {".parquet": _Parquet, ".csv": _Csv, ".jsonl": _Jsonl}
