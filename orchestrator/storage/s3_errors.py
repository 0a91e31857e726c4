"""What S3's failures mean, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import MissingKey, StorageError

# Error codes of a conditional write that lost its race.
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "ConcurrentModification", "OperationAborted", "412", "409"}
# Beside these, a conditional write whose object or upload has vanished has lost as well.
GONE = {"NoSuchKey", "NoSuchUpload", "404"}

# The actions of finding out whether the store is there, and of listing, for which S3 always names a cause: those that
# doubt the server itself.
OPEN, LIST = "open", "list"
# The action of removing older versions, which needs permissions of its own.
PURGE = "delete older versions"

_CREDENTIALS = "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that AWS_PROFILE names"
_CLOCK = "this machine's clock differs too much from the server's. Set the clock (NTP)"
_REGION = "the bucket is in another region. Set AWS_REGION to the bucket's region"
_BUSY = "the server is overloaded or failing, also after retries. Run again later: what was committed is kept"
_FULL = "the server has no room left. Free some space there, or set `storage` to another place"
_REMEDIES = {
    "NoSuchBucket": "the bucket does not exist. Create it, or correct `storage` or AWS_ENDPOINT_URL",
    "InvalidBucketName": "this is not a valid bucket name. Correct `storage`",
    "InvalidAccessKeyId": f"the server does not know the access key. {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong. {_CREDENTIALS}",
    "InvalidToken": f"the session token is not valid. {_CREDENTIALS}, and AWS_SESSION_TOKEN",
    "ExpiredToken": "the credentials have expired. Log in again (aws sso login, or new keys)",
    "TokenRefreshRequired": "the credentials have expired. Log in again (aws sso login, or new keys)",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "InternalError": _BUSY,
    "RequestTimeout": _BUSY,
    "503": _BUSY,
    "500": _BUSY,
    "QuotaExceeded": _FULL,
    "InsufficientCapacity": _FULL,
    "XMinioStorageFull": _FULL,
    "NotImplemented": "the server lacks a part of S3 that is needed. Use AWS S3 or a server such as Ceph or MinIO",
}
_PERMISSION = (
    "permission denied. Allow these credentials s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject,\n"
    "s3:DeleteObject and s3:AbortMultipartUpload on its objects"
)

_PURGE_PERMISSION = (
    "permission denied. To remove older versions for good, allow these credentials s3:ListBucketVersions and\n"
    "s3:ListBucketMultipartUploads on the bucket, and s3:DeleteObjectVersion and s3:AbortMultipartUpload on its objects"
)


@contextmanager
def explained(action: str, where: str, endpoint: str) -> Iterator[None]:
    """Turn botocore's exceptions into a StorageError.

    Args:
        action: what is being done: OPEN, "read", "write", ...
        where: the object's or bucket's s3:// URI.
        endpoint: URL of the server.

    Raises:
        MissingKey: the object is not there.
        StorageError: anything else that went wrong; the message holds no secret.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError as NoAnswer
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        code, status = code_of(error), _status(error)
        if action in (OPEN, LIST) and code.isdigit() and "x-amz-request-id" not in _headers(error):
            problem = (
                f"{endpoint} answers {status}, but not as an S3 server does. Check AWS_ENDPOINT_URL and the server"
            )
            raise StorageError(f"{where}: cannot {action}: {problem}") from None
        if code in ("NoSuchKey", "404"):
            raise MissingKey(f"{where}: not in the storage") from None
        permission = _PURGE_PERMISSION if action == PURGE else _PERMISSION
        remedy = _REMEDIES.get(code) or (permission if status == 403 else None)
        if remedy is None:
            message = error.response.get("Error", {}).get("Message", "")
            remedy = f"the server answers {status} {code}: {message[:300]}"
        raise StorageError(f"{where}: cannot {action}: {remedy}") from None
    except (NoConnection, NoAnswer) as error:
        raise StorageError(
            f"{where}: cannot {action}: no answer from {endpoint} ({type(error).__name__}).\n"
            "Check AWS_ENDPOINT_URL, the network and the server; what was committed is kept"
        ) from None
    except ResponseParserError:
        problem = f"{endpoint} answers, but not as an S3 server does. Check AWS_ENDPOINT_URL and the server"
        raise StorageError(f"{where}: cannot {action}: {problem}") from None
    except BotoCoreError as error:
        raise StorageError(f"{where}: cannot {action}: {_local(error)}") from None


def code_of(error: Exception) -> str:
    """The S3 error code in a botocore ClientError; the HTTP status where an answer had no body."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", "")) or str(_status(error))


def was_retried(error: Exception) -> bool:
    """Whether the failed request was sent more than once, so that an earlier sending may have succeeded."""
    response = getattr(error, "response", None) or {}
    return bool(response.get("ResponseMetadata", {}).get("RetryAttempts", 0))


def _status(error: Exception) -> int:
    response = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _headers(error: Exception) -> dict[str, str]:
    response = getattr(error, "response", None) or {}
    return dict(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}))


def _local(error: Exception) -> str:
    """What is wrong on this machine, before anything was sent."""
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError"):
        return "no AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if name == "ProfileNotFound":
        return f"{error}. Correct AWS_PROFILE"
    if "Credential" in name or "SSO" in name or "Token" in name or "Login" in name:
        return f"the AWS credentials cannot be loaded ({name}). Log in again, or correct the AWS configuration"
    return f"{name}: {str(error)[:300]}"
