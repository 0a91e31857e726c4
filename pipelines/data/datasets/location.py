"""Files and folders of data, on this machine or in S3, by one path."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

from pipelines.config.pipeline_errors import DataError

Kind = Literal["file", "folder", "other"]

_SCHEME = "s3://"
_CONNECT_SECONDS = 10
_REQUEST_SECONDS = 60
_MOST_AT_ONCE = 1000

UNFINISHED = "_unfinished"
"""A file of this name in a folder in S3 says that not all files of the folder have been written."""


class FileState(NamedTuple):
    """What changes when a file is written again.

    Attributes:
        bytes: its size.
        modified: when it was written, in nanoseconds; in S3, whole seconds.
    """

    bytes: int
    modified: int


@dataclass(frozen=True)
class Location:
    """A path or an s3:// address, without a connection or credentials, so that it can be pickled.

    In S3 the endpoint, the region and the credentials are the standard AWS environment's.

    Attributes:
        section: of a pipeline file, whose options say how it is read: for messages.
    """

    section: ClassVar[str] = "dataset"
    path: str

    @classmethod
    def of(cls, path: str) -> Location:
        """A location as written; local paths become absolute, since workers have other working directories."""
        return cls(path.rstrip("/") if path.startswith(_SCHEME) else str(Path(path).expanduser().absolute()))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def exists(self) -> bool:
        """Whether there is a file or folder. Raises DataError: it cannot be reached."""
        return self._kind() is not None

    def is_folder(self) -> bool:
        """Whether this is a folder and not a file.

        Raises:
            DataError: it does not exist, or cannot be reached.
        """
        kind = self._kind()
        if kind is None:
            raise DataError(f"{self.path}: there is no such file or folder")
        return kind == "folder"

    def files(self, suffix: str | tuple[str, ...]) -> list[Location]:
        """The files of this folder that end in `suffix`, or one of several, in natural order; hidden ones are left out.

        Raises:
            DataError: there are no such files, or the folder cannot be read.
        """
        there = (n for n, kind in self._entries() if kind == "file" and n.endswith(suffix) and n[0] not in "._")
        names = sorted(there, key=natural_order)
        if not names:
            wanted = suffix if isinstance(suffix, str) else " or ".join(suffix)
            raise DataError(f"{self.path}: the folder has no {wanted} files")
        return [self / name for name in names]

    def folders(self) -> list[Location]:
        """The folders in this folder, in natural order; hidden ones are left out. Raises DataError."""
        names = [name for name, kind in self._entries() if kind == "folder" and name[0] not in "._"]
        return [self / name for name in sorted(names, key=natural_order)]

    def walk(self, *, recursive: bool = True) -> list[tuple[Location, FileState]]:
        """All files below this folder, or in it, with what they are now; hidden files and folders are left out.

        Raises:
            DataError: the folder cannot be read.
        """
        from pyarrow import fs

        with self._reached() as (system, path):
            found = system.get_file_info(fs.FileSelector(path, recursive=recursive))
        files: list[tuple[Location, FileState]] = []
        for info in found:
            below = info.path.removeprefix(f"{path}/")
            if info.type == fs.FileType.File and all(part[0] not in "._" for part in below.split("/")):
                files.append((self / below, _state(info, self)))
        return files

    @property
    def parent(self) -> Location:
        """The folder that this is in."""
        return Location(self.path.rpartition("/")[0])

    @property
    def remote(self) -> bool:
        """Whether this is in S3."""
        return self.path.startswith(_SCHEME)

    def __truediv__(self, name: str) -> Location:
        return Location(f"{self.path}/{name}")

    def joined(self, path: str) -> Location:
        """A path that begins at this folder, unless it is absolute or an s3:// address."""
        return Location.of(path) if path.startswith((_SCHEME, "/", "~")) else self / path

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, seekable.

        Raises:
            DataError: it cannot be read.
        """
        with self._reached() as (system, path), system.open_input_file(path) as file:
            yield file

    @contextmanager
    def open_plain(self) -> Iterator[BinaryIO]:
        """As `open`, for readers that do not use pyarrow: it takes time to load, and is not needed on this machine.

        Raises:
            DataError: it cannot be read.
        """
        if self.remote:
            with self.open() as file:
                yield file
            return
        with self._errors(), Path(self.path).open("rb") as file:
            yield file

    def file_system(self) -> tuple[Any, str]:
        """The pyarrow file system and the path in it."""
        if self.remote:
            return _s3(), self.path.removeprefix(_SCHEME)
        from pyarrow import fs

        return fs.LocalFileSystem(), self.path

    def _kind(self) -> Kind | None:
        """What is there; None: nothing. Raises DataError: it cannot be reached."""
        if self.remote:
            with self._reached() as (system, path):
                return _kind(system.get_file_info(path))
        with self._errors():
            try:
                mode = Path(self.path).stat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return None
        return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"

    def _entries(self) -> list[tuple[str, Kind | None]]:
        """The names in this folder, and what they are.

        Raises:
            DataError: the folder cannot be read, or was not written completely.
        """
        if self.remote:
            from pyarrow import fs

            with self._reached() as (system, path):
                found = [(info.base_name, _kind(info)) for info in system.get_file_info(fs.FileSelector(path))]
        else:
            with self._errors(), os.scandir(self.path) as there:
                found = [(one.name, "folder" if one.is_dir() else "file" if one.is_file() else None) for one in there]
        if any(name == UNFINISHED for name, _ in found):
            raise DataError(
                f"{self.path}: not all of its files were written: what wrote it was interrupted, or still runs. Remove "
                "the folder, and write it again"
            )
        return found

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """The file system and the path in it; its errors become a DataError."""
        with self._errors():
            yield self.file_system()

    def _gone(self) -> bool:
        """Whether it is no longer in S3: a request that is under way when it is deleted may fail in other words."""
        from pyarrow import fs

        system, path = self.file_system()
        try:
            return bool(system.get_file_info(path).type == fs.FileType.NotFound)
        except OSError:
            return False

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of a file system become a DataError."""
        try:
            yield
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: there is no such file or folder") from error
        except OSError as error:
            if self.remote and "NETWORK_CONNECTION" not in str(error) and self._gone():
                raise DataError(f"{self.path}: there is no such file or folder") from error
            reason = error.strerror or str(error).strip().partition("\n")[0] or type(error).__name__
            raise DataError(f"{self.path}: cannot be read: {reason}") from error


def _kind(info: Any) -> Kind | None:
    """What pyarrow found."""
    from pyarrow import fs

    kinds: dict[Any, Kind] = {fs.FileType.File: "file", fs.FileType.Directory: "folder", fs.FileType.Unknown: "other"}
    return kinds.get(info.type)


def states(locations: Sequence[Location]) -> list[FileState]:
    """What files are now.

    Where many files of a folder in S3 are asked for, the folder is listed: a request for each would take minutes.

    Raises:
        DataError: one of them does not exist, or cannot be reached.
    """
    from pyarrow import fs

    folders = Counter(one.parent for one in locations if one.remote)
    known: dict[Location, FileState] = {}
    for folder, count in folders.items():
        if count >= _MOST_AT_ONCE:
            known |= folder.walk(recursive=False)
    rest = [one for one in locations if one not in known] if known else locations
    for start in range(0, len(rest), _MOST_AT_ONCE):
        some = rest[start : start + _MOST_AT_ONCE]
        with some[0]._reached() as (system, _):
            infos = system.get_file_info([one.path.removeprefix(_SCHEME) for one in some])
        for one, info in zip(some, infos, strict=True):
            if info.type != fs.FileType.File:
                raise DataError(f"{one.path}: there is no such file")
            known[one] = _state(info, one)
    return [known[one] for one in locations]


def _state(info: Any, location: Location) -> FileState:
    # Lists of some servers have milliseconds, which they do not say of a single file.
    modified = info.mtime_ns
    return FileState(info.size, modified // 10**9 * 10**9 if location.remote else modified)


@lru_cache(maxsize=10_000)
def natural_order(name: str) -> tuple[list[tuple[int, int]], str]:
    """A key that sorts names as people count: batch2 before batch10. Names without numbers keep the order of text.

    The name itself decides between 1 and 01.
    """
    parts = re.findall(r"[0-9]+|[^0-9]", name)
    return [(ord("0"), int(part)) if part.isdecimal() else (ord(part), 0) for part in parts], name


def _s3() -> Any:
    """The file system of the AWS environment, one for a process: each new one opens new connections."""
    return _s3_of(
        os.getpid(), tuple(sorted((k, v) for k, v in os.environ.items() if k == "HOME" or k.startswith("AWS_")))
    )


@lru_cache(maxsize=4)
def _s3_of(process: int, environment: tuple[tuple[str, str], ...]) -> Any:
    from pyarrow import fs

    options: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "request_timeout": _REQUEST_SECONDS}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        address = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        options |= {"endpoint_override": address.netloc, "scheme": address.scheme}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    return fs.S3FileSystem(**options)
