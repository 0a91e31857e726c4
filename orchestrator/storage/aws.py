"""Clients of S3, configured by the standard AWS environment and configuration files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

# How often a patient client tries: with the pauses about two minutes, enough for a server that is restarted.
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
        patient: whether to wait out a server that is away for some seconds.

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
    if is_aws(client.meta.endpoint_url) or "addressing_style" in chosen:
        return client
    # A bucket in the host name needs wildcard DNS and certificates, which few servers of one's own have.
    path_style = config.merge(Config(s3=chosen | {"addressing_style": "path"}))
    return session.client("s3", config=path_style)


def is_aws(endpoint: str) -> bool:
    """Whether an endpoint URL is Amazon's own."""
    host = urlsplit(endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
