"""Secrets in text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import LONGEST, StorageError, TrackingError
from orchestrator.redact import HIDDEN, redact

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://bob:{SECRET}@host/db",
        f"https://{SECRET.replace('/', '')}@host",
        f"mysql+pymysql://u:{SECRET}@host:3306/db?x=1 failed",
        f"two http://a:{SECRET}@h and s3://b:{SECRET}@c/d",
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"aws_session_token = {SECRET}",
        f'{{"password": "{SECRET}", "x": 1}}',
        f"{{'secretKey': '{SECRET}'}}",
        f"password: {SECRET}",
        f"Token: {SECRET}",
        f"api-key={SECRET}&x=1",
        f"https://h/k?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
        f"<SecretAccessKey>{SECRET}</SecretAccessKey>",
        f"Authorization: Bearer {SECRET}",
        f"Authorization: Basic {SECRET}==",
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIA1/2/us, SignedHeaders=host, Signature={SECRET}",
    ],
)
def test_secrets_go(text: str) -> None:
    found = redact(text)
    assert SECRET not in found and SECRET.replace("/", "") not in found and HIDDEN in found
    assert redact(found) == found


def test_access_key_ids_go() -> None:
    assert redact("key AKIAIOSFODNN7EXAMPLE, ASIAIOSFODNN7EXAMPLE.") == f"key {HIDDEN}, {HIDDEN}."


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/prefix: cannot open: the bucket does not exist",
        "http://127.0.0.1:9500/bucket/a@b",
        "pipelines/x.yaml:14: token: must be a string",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        "wrong credentials: check AWS_PROFILE",
        "basic settings of bearer bonds",
        "mail me@example.org",
        "strategy.ewc.lambda: must be at least 0, got -3",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


def test_secrets_of_this_process_go_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "plain-words-here")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "test")
    assert redact("the server says plain-words-here; a test") == f"the server says {HIDDEN}; a test"


@given(st.text(max_size=300))
def test_idempotent_on_any_text(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize("piece", ["a", "a://:", "token", "secret_", "basic ", "<", "x=", '"', "@"])
def test_long_text_costs_linear_time(piece: str) -> None:
    started = time.process_time()
    redact(piece * (20_000 // len(piece)))
    assert time.process_time() - started < 5


def test_errors_are_redacted_and_short() -> None:
    assert SECRET not in str(StorageError(f"s3://a:{SECRET}@b"))
    assert len(str(TrackingError("x" * 10**6))) == LONGEST
    assert (StorageError("x").exit_status, TrackingError("x").exit_status) == (3, 3)
