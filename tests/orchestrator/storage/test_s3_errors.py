"""Server answers that no server at hand gives."""

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError

from orchestrator.errors import MissingKey, StorageError
from orchestrator.storage.s3_errors import explained


def _answer(code: str, status: int, message: str = "") -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutObject",
    )


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("PermanentRedirect", 301, "Set AWS_REGION"),
        ("AuthorizationHeaderMalformed", 400, "Set AWS_REGION"),
        ("ExpiredToken", 400, "expired. Log in again"),
        ("InvalidToken", 400, "AWS_SESSION_TOKEN"),
        ("QuotaExceeded", 403, "no room left"),
        ("XMinioStorageFull", 507, "no room left"),
        ("AllAccessDisabled", 403, "permission denied"),
        ("403", 403, "permission denied"),
        ("InternalError", 500, "failing"),
        ("NotImplemented", 501, "lacks a part of S3"),
        ("SomethingNew", 418, "the server answers 418 SomethingNew: I am a teapot"),
    ],
)
def test_codes(code: str, status: int, expected: str) -> None:
    with pytest.raises(StorageError, match=expected) as caught, explained("write", "s3://b/key", "http://host"):
        raise _answer(code, status, "I am a teapot")
    assert str(caught.value).startswith("s3://b/key: cannot write: ") and len(str(caught.value).splitlines()) <= 3


def test_missing_objects_have_their_own_type() -> None:
    for code in ("NoSuchKey", "404"):
        with pytest.raises(MissingKey), explained("read", "s3://b/key", ""):
            raise _answer(code, 404)


def test_timeouts_name_the_endpoint() -> None:
    with (
        pytest.raises(StorageError, match="no answer from http://host"),
        explained("read", "s3://b/key", "http://host"),
    ):
        raise ReadTimeoutError(endpoint_url="http://host/b/key")


def test_what_a_server_echoes_is_redacted_and_short() -> None:
    message = "key AKIAIOSFODNN7EXAMPLE secret_access_key=wJalrXUtnFEMI " + "x" * 5000
    with pytest.raises(StorageError) as caught, explained("read", "s3://b/key", ""):
        raise _answer("Odd", 400, message)
    text = str(caught.value)
    assert "AKIA" not in text and "wJalr" not in text and len(text) < 500


def test_other_failures_on_this_side() -> None:
    with pytest.raises(StorageError, match="BotoCoreError"), explained("read", "s3://b/key", ""):
        raise BotoCoreError()
