"""Clients of S3, configured by the standard AWS environment and configuration files."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

# Seconds for which a patient client retries: enough for a server that is restarted.
PATIENCE_S = 120.0
LONGEST_PAUSE_S = 5.0
PATIENT_ATTEMPTS = 16
HASTY_ATTEMPTS = 2
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
CONNECTIONS = 64


def aws_session() -> Session:
    """Credentials, profile and region by the standard chain.

    Raises:
        botocore.exceptions.BotoCoreError: the configuration is broken, for example the profile does not exist.
    """
    from boto3.session import Session

    session = Session()
    # Unlike the other SDKs, boto3 reads only AWS_DEFAULT_REGION.
    region = session.region_name or os.environ.get("AWS_REGION")
    return session if region == session.region_name else Session(region_name=region)


def s3_client(session: Session, *, patient: bool = True) -> S3Client:
    """A client with bounded retries, whose calls may come from several threads.

    Args:
        patient: whether to retry for up to `PATIENCE_S` seconds while a server is unavailable, unless the AWS
            configuration sets a number of attempts (AWS_MAX_ATTEMPTS).

    Raises:
        botocore.exceptions.BotoCoreError: as `aws_session`.
    """
    from botocore.config import Config

    own = session._session.get_config_variable("max_attempts")
    attempts = int(own or PATIENT_ATTEMPTS) if patient else HASTY_ATTEMPTS
    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
    )
    client: S3Client = session.client("s3", config=config)
    chosen: Any = getattr(client.meta.config, "s3", None) or {}
    if not (is_aws(client.meta.endpoint_url) or "addressing_style" in chosen):
        # A bucket in the host name needs wildcard DNS and certificates, which few servers of one's own have.
        client = session.client("s3", config=config.merge(Config(s3=chosen | {"addressing_style": "path"})))
    if patient and own is None:
        answering: Any = _wait_longer
        client.meta.events.register("needs-retry.s3", answering, unique_id="everlearn-wait-longer")
    return client


def _wait_longer(
    attempts: int, response: Any, caught_exception: Exception | None, request_dict: dict[str, Any], **_: Any
) -> float | None:
    """Seconds until a failed request is sent again, where botocore itself would not retry; None: give up.

    Its own retries share a quota, which a few requests side by side use up within a second.
    """
    if not _passing(response, caught_exception):
        return None
    now = time.monotonic()
    since: float = request_dict["context"].setdefault("everlearn_first_failure", now)
    if now - since > PATIENCE_S:
        return None
    return random.uniform(0.5, 1.0) * min(float(2**attempts) / 10, LONGEST_PAUSE_S)


def _passing(response: Any, error: Exception | None) -> bool:
    """Whether a failure may be over soon: no answer, or an answer that says the server is overloaded or failing."""
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError as NoAnswer

    if error is not None or response is None:
        return isinstance(error, (NoConnection, NoAnswer))
    http, parsed = response
    code = str(parsed.get("Error", {}).get("Code", ""))
    return http.status_code in (429, 500, 502, 503, 504) or code in ("RequestTimeout", "SlowDown")


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint URL is Amazon's own."""
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
