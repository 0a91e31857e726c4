"""A store in an S3 bucket: Amazon's, or any server that holds conditional writes."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.errors import Locked, MissingKey, StorageError
from orchestrator.storage.conditional_write_probe import probe
from orchestrator.storage.object_keys import RESERVED, checked_key, checked_prefix, readable
from orchestrator.storage.parallel_requests import in_parallel
from orchestrator.storage.s3_errors import GONE, LIST, LOST, OPEN, PURGE, code_of, explained, was_retried
from orchestrator.storage.store import Entry

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Above this an object is sent and fetched in parts, several at once.
PART = 8 * 2**20
PARALLEL = 8
# S3 allows 10,000 parts.
MOST_PARTS = 9_000
LONGEST_PREFIX = 400
ATTEMPTS = 5
_TOKEN = "everlearn-write"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


class S3Store:
    """Keys are objects below `prefix` in `bucket`; `orchestrator.storage.store.Store` says what each method promises.

    Endpoint, region and credentials come from the standard AWS environment and configuration files. Failing requests
    are repeated for about two minutes. A version is an ETag. Can be pickled: no credentials go along.
    """

    def __init__(self, bucket: str, prefix: str = "") -> None:
        if not _BUCKET.fullmatch(bucket):
            raise StorageError(f"storage: {bucket[:100]!r} is not a valid bucket name. Write s3://bucket/prefix")
        if len(prefix.encode("utf-8", "replace")) > LONGEST_PREFIX:
            raise StorageError(f"storage: s3://{bucket}/{prefix[:50]}...: the prefix is too long")
        self.bucket = bucket
        self.prefix = f"{checked_key(prefix)}/" if prefix else ""

    def __reduce__(self) -> tuple[type[S3Store], tuple[str, str]]:
        return S3Store, (self.bucket, self.prefix.rstrip("/"))

    def __repr__(self) -> str:
        return f"S3Store({self.uri!r})"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        name = self._name(key)
        with self._explained("read", key):
            return self._download(name)

    def put(self, key: str, data: bytes) -> None:
        name = self._name(key)
        with self._explained("write", key):
            self._upload(name, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        if len(data) > PART and self.exists(key):
            return False
        return self._write_if(key, data, {"IfNoneMatch": "*"})

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        name = self._name(key)
        try:
            with self._explained("read", key):
                data, answer = self._fetch(name)
                return data, answer["ETag"]
        except MissingKey:
            return None

    def compare_and_swap(self, key: str, data: bytes, version: str | None) -> bool:
        if version is None:
            return self.put_if_absent(key, data)
        return self._write_if(key, data, {"IfMatch": version})

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except MissingKey:
            return False
        return True

    def size(self, key: str) -> int:
        name = self._name(key)
        with self._explained("read", key):
            return self._client.head_object(Bucket=self.bucket, Key=name)["ContentLength"]

    def list(self, prefix: str = "") -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        for entry in self._entries(checked_prefix(prefix)):
            with suppress(StorageError):
                # What other programs left under names that are no keys is none of ours.
                checked_key(entry.key)
                yield entry

    def foreign(self, prefix: str = "") -> Iterator[str]:
        for entry in self._entries(checked_prefix(prefix)):
            try:
                checked_key(entry.key)
            except StorageError:
                yield readable(entry.key)

    def folders(self, prefix: str = "") -> Iterator[str]:
        start = f"{self.prefix}{checked_prefix(prefix)}"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start, Delimiter="/")
        with self._explained(LIST, prefix):
            for page in pages:
                for found in page.get("CommonPrefixes", []):
                    name = found["Prefix"].removeprefix(start).rstrip("/")
                    if name and not name.startswith(RESERVED):
                        yield name

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._explained("delete", key):
            self._client.delete_object(Bucket=self.bucket, Key=name)

    def delete_folder(self, folder: str) -> None:
        names = [entry.key for entry in self._entries(f"{checked_key(folder)}/")]
        for start in range(0, len(names), 1000):
            batch: list[Any] = [{"Key": self.prefix + name} for name in names[start : start + 1000]]
            with self._explained("delete", folder):
                answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": batch, "Quiet": True})
            for failed in answer.get("Errors", []):
                problem = f"{failed.get('Code', '')} {failed.get('Message', '')}".strip()
                raise StorageError(f"s3://{self.bucket}/{failed.get('Key', folder)}: cannot delete: {problem[:300]}")

    def purge(self, prefix: str) -> None:
        place: Any = {"Bucket": self.bucket, "Prefix": f"{self.prefix}{checked_prefix(prefix)}"}
        locked: Sequence[str] = []
        with self._explained(PURGE, prefix):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(**place):
                for upload in page.get("Uploads", []):
                    self._client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
            markers: Sequence[Any] = []
            for versions in self._client.get_paginator("list_object_versions").paginate(**place):
                older = [found for found in versions.get("Versions", []) if not found["IsLatest"]]
                locked = [*locked, *self._delete_versions(older)]
                markers = [*markers, *versions.get("DeleteMarkers", [])]
            # Last: without its marker, an older version would be the object again.
            if not locked:
                self._delete_versions(markers)
        if locked:
            raise Locked(
                f"{self.uri}: the bucket's object lock keeps {len(locked)} older versions of deleted objects until "
                f"{max(locked)}.\nRun everlearn forget again then; everlearn fsck reports it until that is done"
            )

    def _delete_versions(self, found: Sequence[Any]) -> Sequence[str]:
        """Until when those are locked that could not be deleted."""
        from botocore.exceptions import ClientError

        locked = []
        for version in found:
            place: Any = {"Bucket": self.bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
            try:
                self._client.delete_object(**place)
            except ClientError:
                until = self._locked_until(place)
                if until is None:
                    raise
                locked.append(until)
        return locked

    def _locked_until(self, place: Any) -> str | None:
        """Until when a version is locked; None: it is not, or that cannot be found out."""
        with suppress(Exception):
            head: Any = self._client.head_object(**place)
            if head.get("ObjectLockLegalHoldStatus") == "ON":
                return "their legal hold is lifted"
            if "ObjectLockRetainUntilDate" in head:
                return str(head["ObjectLockRetainUntilDate"].isoformat(timespec="seconds"))
        return None

    def check(self) -> None:
        hasty = self._connect(patient=False)
        with self._explained(OPEN, ""):
            answer: Any = hasty.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
        if "KeyCount" not in answer and "Name" not in answer:
            raise StorageError(
                f"{self.uri}: cannot open: {hasty.meta.endpoint_url} answers, but not as an S3 server does. "
                "Check AWS_ENDPOINT_URL and the server"
            )
        probe(self)

    @cached_property
    def _client(self) -> S3Client:
        return self._connect(patient=True)

    def _connect(self, *, patient: bool) -> S3Client:
        from orchestrator.storage.s3_client import aws_session, s3_client

        try:
            with explained(OPEN, self.uri, "S3"):
                return s3_client(aws_session(), patient=patient)
        except ValueError as error:
            raise StorageError(f"{self.uri}: cannot open: {error}. Correct the AWS configuration") from None

    def _explained(self, action: str, key: str) -> AbstractContextManager[None]:
        return explained(action, f"{self.uri}/{key}".rstrip("/"), self._client.meta.endpoint_url)

    def _name(self, key: str) -> str:
        return self.prefix + checked_key(key)

    def _entries(self, prefix: str) -> Iterator[Entry]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{prefix}"
        )
        with self._explained(LIST, prefix):
            for page in pages:
                for found in page.get("Contents", []):
                    key = found["Key"].removeprefix(self.prefix)
                    yield Entry(key, found["Size"], found["LastModified"].timestamp())

    def _write_if(self, key: str, data: bytes, condition: dict[str, str]) -> bool:
        from botocore.exceptions import ClientError

        name, token = self._name(key), uuid.uuid4().hex
        for attempt in range(ATTEMPTS):
            with self._explained("write", key):
                try:
                    self._upload(name, data, condition, token)
                    return True
                except ClientError as error:
                    if code_of(error) not in LOST | GONE:
                        raise
                    # An earlier attempt may have succeeded, and its answer been lost: the object is then this call's.
                    if was_retried(error) and self._metadata(name).get(_TOKEN) == token:
                        return True
            if "IfMatch" in condition or self.exists(key):
                return False
            # The other writer failed, or what it wrote was deleted again.
            time.sleep(0.05 * 2**attempt)
        raise StorageError(
            f"{self.uri}/{key}: cannot write: other processes keep writing and deleting it. Run again later"
        )

    def _metadata(self, name: str) -> dict[str, str]:
        try:
            with explained("read", name, ""):
                return self._client.head_object(Bucket=self.bucket, Key=name)["Metadata"]
        except MissingKey:
            return {}

    def _upload(self, name: str, data: bytes, condition: Any = None, token: str | None = None) -> None:
        condition = condition or {}
        metadata = {_TOKEN: token} if token else {}
        place: Any = {"Bucket": self.bucket, "Key": name}
        if len(data) <= PART:
            self._client.put_object(**place, Body=data, Metadata=metadata, **condition)
            return
        checksums: Any = {}
        if self._client.meta.config.request_checksum_calculation == "when_supported":  # type: ignore[attr-defined]
            checksums = {"ChecksumAlgorithm": "CRC32"}
        upload = self._client.create_multipart_upload(**place, Metadata=metadata, **checksums)["UploadId"]
        size = max(PART, -(-len(data) // MOST_PARTS))
        view = memoryview(data)

        def send(number: int) -> Any:
            body = bytes(view[(number - 1) * size : number * size])
            answer = self._client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body, **checksums)
            sums = {key: value for key, value in answer.items() if key.startswith("Checksum")}
            return {"PartNumber": number, "ETag": answer["ETag"], **(sums if checksums else {})}

        try:
            parts = in_parallel(send, range(1, -(-len(data) // size) + 1), PARALLEL)
            self._client.complete_multipart_upload(
                **place, UploadId=upload, MultipartUpload={"Parts": parts}, **condition
            )
        except BaseException:
            # Parts of an upload that is neither completed nor aborted cost money and are not listed.
            with suppress(Exception):
                self._client.abort_multipart_upload(**place, UploadId=upload)
            raise

    def _download(self, name: str) -> bytes:
        from botocore.exceptions import ClientError

        for _ in range(ATTEMPTS):
            try:
                first, answer = self._fetch(name, Range=f"bytes=0-{PART - 1}")
                total = int(str(answer.get("ContentRange", f"/{len(first)}")).rpartition("/")[2])
                return b"".join([first, *self._rest(name, len(first), total, answer["ETag"])])
            except ClientError as error:
                if code_of(error) in ("InvalidRange", "416"):
                    return self._fetch(name)[0]
                if code_of(error) not in LOST:
                    raise
        raise StorageError(f"s3://{self.bucket}/{name}: cannot read: it keeps changing. Run again later")

    def _rest(self, name: str, start: int, total: int, etag: str) -> Sequence[bytes]:
        ranges = [f"bytes={begin}-{min(begin + PART, total) - 1}" for begin in range(start, total, PART)]
        return in_parallel(lambda part: self._fetch(name, Range=part, IfMatch=etag)[0], ranges, PARALLEL)

    def _fetch(self, name: str, **options: Any) -> tuple[bytes, Any]:
        """The body and the answer of one GET; a connection that breaks in mid-body is tried again."""
        from botocore.exceptions import BotoCoreError

        for attempt in range(ATTEMPTS):
            answer = self._client.get_object(Bucket=self.bucket, Key=name, **options)
            try:
                return answer["Body"].read(), answer
            except BotoCoreError:
                if attempt == ATTEMPTS - 1:
                    raise
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")
