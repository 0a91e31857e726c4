"""The files of a source, in a folder, below an S3 prefix or in a Kafka topic: what is there, and their bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from orchestrator.errors import MissingKey, StorageError
from orchestrator.updates.delayed_labels import LABELS
from orchestrator.updates.file_verdict import Found
from orchestrator.updates.source_listing import Listing
from pipelines.config.sections.source_section import KAFKA, MESSAGES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_SCHEME = "s3://"


class SourceFiles(Protocol):
    """A place where files arrive. Nothing is ever written there. Every failure is a StorageError."""

    def listing(self, known: Iterable[str] = ()) -> Listing:
        """What is there now. A folder that does not exist yet has no files.

        Args:
            known: the keys in the log, which say where in a topic the next ones begin.
        """
        ...

    def read(self, found: Found) -> bytes | None:
        """The bytes of a file as it was listed; None: it is gone, or another version is there."""
        ...

    def read_key(self, key: str) -> bytes | None:
        """The bytes of a file as it is now; None: it is gone."""
        ...


def open_source(
    path: str, *, recursive: bool = True, messages: int = MESSAGES, linger: float | None = None
) -> SourceFiles:
    """The files at `path`, a folder, s3://bucket/prefix or kafka://host:port/topic.

    Args:
        recursive: with all folders below it.
        messages: of a topic, how many stand for a file.
        linger: of a topic, seconds after which fewer do; None: never.
    """
    if path.startswith(KAFKA):
        from orchestrator.updates.kafka_topic import KafkaTopic

        return KafkaTopic.at(path, messages, linger)
    if path.startswith(_SCHEME):
        parts = urlsplit(path)
        return S3Files(parts.netloc, f"{parts.path.strip('/')}/".lstrip("/"), recursive)
    return FolderFiles(Path(path).expanduser().absolute(), recursive)


@dataclass(frozen=True)
class FilesAndLabels:
    """Files of inputs, and files of labels, whose keys begin with `_labels/`."""

    inputs: SourceFiles
    labels: SourceFiles

    def listing(self, known: Iterable[str] = ()) -> Listing:
        # Labels are listed first: inputs that are listed later then have all labels that were there before them.
        labels = self.labels.listing()
        inputs = self.inputs.listing([key for key in known if not key.startswith(LABELS)])
        renamed = (replace(found, key=f"{LABELS}{found.key}") for found in labels.files)
        own = (found for found in inputs.files if not found.key.startswith(LABELS))
        return Listing((*own, *renamed), max(labels.now, inputs.now), inputs.warnings)

    def read(self, found: Found) -> bytes | None:
        files, key = self._place(found.key)
        return files.read(replace(found, key=key))

    def read_key(self, key: str) -> bytes | None:
        files, key = self._place(key)
        return files.read_key(key)

    def _place(self, key: str) -> tuple[SourceFiles, str]:
        name = key.removeprefix(LABELS)
        return (self.inputs, key) if name == key else (self.labels, name)


@dataclass(frozen=True)
class FolderFiles:
    """Files of a folder of this machine. A version is the time of the last change, in nanoseconds."""

    folder: Path
    recursive: bool = True

    def listing(self, known: Iterable[str] = ()) -> Listing:
        # Ages are by the clock of the file system, which is this machine's for a local one.
        return Listing(tuple(self._below(self.folder, "")), time.time())

    def read(self, found: Found) -> bytes | None:
        path = self.folder / found.key
        try:
            with path.open("rb") as file:
                before = os.fstat(file.fileno())
                data = file.read()
                after = os.fstat(file.fileno())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(str(path), error) from None
        same = all((stat.st_size, str(stat.st_mtime_ns)) == (found.size, found.version) for stat in (before, after))
        return data if same and len(data) == found.size else None

    def read_key(self, key: str) -> bytes | None:
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unreadable(str(self.folder / key), error) from None

    def _below(self, folder: Path, prefix: str) -> Iterator[Found]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    key = f"{prefix}{entry.name}"
                    try:
                        if entry.is_dir():
                            if self.recursive and not entry.name.startswith((".", "_")):
                                yield from self._below(Path(entry.path), f"{key}/")
                        elif entry.is_file():
                            stat = entry.stat()
                            yield Found(key, stat.st_size, str(stat.st_mtime_ns), stat.st_mtime)
                    except FileNotFoundError:
                        continue  # removed meanwhile
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(str(folder), error) from None


@dataclass(frozen=True)
class S3Files:
    """Objects below a prefix. A version is an ETag."""

    bucket: str
    prefix: str
    recursive: bool = True

    def listing(self, known: Iterable[str] = ()) -> Listing:
        found: list[Found] = []
        now = 0.0
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix, Delimiter="" if self.recursive else "/"
        )
        with self._explained("list", self.prefix):
            for page in pages:
                now = _date(page["ResponseMetadata"]["HTTPHeaders"]) or now
                for item in page.get("Contents", []):
                    key = item["Key"].removeprefix(self.prefix)
                    if key and not key.endswith("/"):
                        found.append(Found(key, item["Size"], item["ETag"], item["LastModified"].timestamp()))
        return Listing(tuple(found), now or time.time())

    def read(self, found: Found) -> bytes | None:
        return self._get(found.key, found.version)

    def read_key(self, key: str) -> bytes | None:
        return self._get(key, None)

    def _get(self, key: str, etag: str | None) -> bytes | None:
        from botocore.exceptions import ClientError

        from orchestrator.storage.s3_errors import LOST, code_of

        condition = {} if etag is None else {"IfMatch": etag}
        try:
            with self._explained("read", f"{self.prefix}{key}"):
                try:
                    answer = self._client.get_object(Bucket=self.bucket, Key=f"{self.prefix}{key}", **condition)  # type: ignore[arg-type]
                    return answer["Body"].read()
                except ClientError as error:
                    if code_of(error) in LOST:
                        return None
                    raise
        except MissingKey:
            return None

    @cached_property
    def _client(self) -> S3Client:
        from orchestrator.storage.s3_client import aws_session, s3_client
        from orchestrator.storage.s3_errors import OPEN, explained

        with explained(OPEN, f"s3://{self.bucket}/{self.prefix}", "S3"):
            return s3_client(aws_session())

    def _explained(self, action: str, name: str) -> AbstractContextManager[None]:
        from orchestrator.storage.s3_errors import explained

        return explained(action, f"s3://{self.bucket}/{name}", self._client.meta.endpoint_url)

    def __getstate__(self) -> dict[str, object]:
        return {"bucket": self.bucket, "prefix": self.prefix, "recursive": self.recursive}


def _date(headers: dict[str, str]) -> float | None:
    """The server's clock, from the header of an answer."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None


def _unreadable(path: str, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"{path}: cannot be read: {reason}.\nCorrect stream.source.path or labels, or its rights")
