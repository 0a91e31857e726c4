"""The store's place as Ray wants it: a pyarrow file system and a path."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.errors import StorageError
from orchestrator.storage.folder_store import FolderStore
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.s3_client import (
    CONNECT_TIMEOUT_S,
    PATIENT_ATTEMPTS,
    READ_TIMEOUT_S,
    aws_session,
    is_aws,
    s3_client,
)
from orchestrator.storage.s3_errors import OPEN, explained
from orchestrator.storage.s3_store import S3Store

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

# Credentials that do not change: pyarrow is given them. Others it has to find and renew by itself.
_LASTING = {"env", "shared-credentials-file", "config-file"}


def ray_filesystem(uri: str) -> tuple[FileSystem | None, str]:
    """`storage_filesystem` and `storage_path` of Ray's RunConfig for the store at `uri`.

    Ray pickles the file system into its workers and into its own files in the store. No credentials go along: where it
    is unpickled, they are looked up anew by the standard AWS chain.

    Raises:
        StorageError: `uri` names no store, or the AWS configuration is broken.
    """
    store = open_store(uri)
    if isinstance(store, FolderStore):
        return None, store.uri
    if not isinstance(store, S3Store):
        # Ray keeps only its own notes there, and a plug-in's store is none that it can write.
        place = hashlib.sha256(store.uri.encode()).hexdigest()[:16]
        return None, str(Path(tempfile.gettempdir()) / f"everlearn-ray-{place}")
    with explained(OPEN, store.uri, "S3"):
        session = aws_session()
        meta = s3_client(session).meta
    endpoint = None if is_aws(meta.endpoint_url) else meta.endpoint_url
    return s3_filesystem(endpoint, session.region_name), store.uri.removeprefix("s3://")


def s3_filesystem(endpoint: str | None, region: str | None) -> FileSystem:
    """A pyarrow file system on S3 with this process's credentials, which is pickled without them.

    Args:
        endpoint: URL of the server; None: Amazon.

    Raises:
        StorageError: the AWS configuration is broken.
    """
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    class ChainedS3FileSystem(S3FileSystem):  # type: ignore[misc]
        def __reduce__(self) -> tuple[Any, ...]:
            return s3_filesystem, (endpoint, region)

    options: dict[str, Any] = {}
    with explained(OPEN, endpoint or "S3", endpoint or "S3"):
        credentials = aws_session().get_credentials()
        if credentials is not None and credentials.method in _LASTING:
            frozen = credentials.get_frozen_credentials()
            options = {
                "access_key": frozen.access_key,
                "secret_key": frozen.secret_key,
                "session_token": frozen.token,
            }
    if region:
        options["region"] = region
    if endpoint:
        parts = urlsplit(endpoint)
        if parts.path.strip("/"):
            raise StorageError(f"AWS_ENDPOINT_URL {endpoint}: an endpoint with a path cannot be used for training")
        options |= {"scheme": parts.scheme, "endpoint_override": parts.netloc}
    return ChainedS3FileSystem(
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=READ_TIMEOUT_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=PATIENT_ATTEMPTS),
        **options,
    )
