"""The dashboard of a Ray head, where jobs are submitted: connecting to it, and explaining why that fails."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from orchestrator.errors import ClusterError
from orchestrator.redact import redact
from pipelines.config.sections.cluster_section import checked_address

ADDRESS = "RAY_API_SERVER_ADDRESS"
# Variables with the certificate authorities, read by requests and by everything that uses OpenSSL.
_AUTHORITIES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
# Seconds to connect, to wait for an answer, and without output of a job before its head is checked.
CONNECT_S, ANSWER_S, _SILENCE_S = 10, 60, 30
LONGEST_CAUSE = 300

# These loggers set their own level when they are imported.
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)


class Lost(ConnectionError):
    """The connection that follows a job was lost."""


class Dashboard:
    """The dashboard of a Ray head that answers.

    Attributes:
        address: its address, without secrets.
        client: Ray's `JobSubmissionClient`, each of whose requests ends within `CONNECT_S` + `ANSWER_S`.
    """

    def __init__(self, address: str | None = None, ca: str | None = None) -> None:
        """
        Args:
            address: http://HEAD:8265; None: RAY_API_SERVER_ADDRESS.
            ca: file or folder with the certificate authorities for https addresses; None: REQUESTS_CA_BUNDLE or
                SSL_CERT_FILE, else those of the system.

        Raises:
            ClusterError: no address is given, nothing listens at it, or the cluster refuses the connection.
        """
        full = _checked(address or os.environ.get(ADDRESS, ""))
        self.address = redact(full)
        verify = _authority(ca)
        if has_token():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        _reach(full)
        with self.explained():
            self.client: Any = _client(full, verify)

    def warnings(self) -> list[str]:
        """Security problems of the connection to the cluster."""
        parts = urlsplit(self.address)
        if is_loopback(parts.hostname or ""):
            return []
        if not has_token():
            return [
                f"{self.address} is a remote address without a token: anyone who can reach it can run code there; "
                "start Ray with RAY_AUTH_MODE=token"
            ]
        if parts.scheme == "http":
            return [
                f"{self.address} is a remote address without encryption: the token and the environment of the job can "
                "be read in transit; use https, a port-forward or a tunnel"
            ]
        return []

    def state(self, kind: str, **filters: str) -> list[Mapping[str, Any]]:
        """The `nodes` or `actors` of the cluster that `filters` match; empty if Ray does not answer."""
        query: list[tuple[str, str]] = [("limit", "1000"), ("detail", "1"), ("timeout", "10")]
        for key, value in filters.items():
            query += [("filter_keys", key), ("filter_predicates", "="), ("filter_values", value)]
        try:
            answer = self.client._do_request("GET", f"/api/v0/{kind}?{urlencode(query)}")
            found = answer.json()["data"]["result"]["result"]
        except Exception:
            # For example an older version of Ray; the answer only adds details.
            return []
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def tail(self, job: str) -> AsyncIterator[str]:
        """The output of a job from its beginning to its end. The head is checked while the job writes nothing.

        Raises:
            Lost: the connection was lost.
        """
        import aiohttp

        client = self.client
        url = f"{client._address}/api/jobs/{job}/logs/tail"
        waits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with (
            aiohttp.ClientSession(cookies=client._cookies, headers=client._headers, timeout=waits) as session,
            session.ws_connect(url, ssl=client._ssl_context or True, max_msg_size=0) as stream,
        ):
            while True:
                message = asyncio.ensure_future(stream.receive())
                # The server of Ray does not answer pings.
                while not (await asyncio.wait({message}, timeout=_SILENCE_S))[0]:
                    await asyncio.to_thread(client.get_job_status, job)
                kind = message.result().type
                if kind == aiohttp.WSMsgType.TEXT:
                    yield message.result().data
                elif kind == aiohttp.WSMsgType.ERROR or stream.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
                    raise Lost(str(stream.exception() or "closed"))
                else:
                    return

    @contextlib.contextmanager
    def explained(self, job: str | None = None) -> Iterator[None]:
        """Turn the errors of Ray and its HTTP libraries into one short message."""
        try:
            yield
        except ClusterError:
            raise
        except Exception as error:
            raise _explanation(error, self.address, job) from error


def has_token() -> bool:
    """Whether Ray finds a token for the cluster in the environment or in the home folder."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    at_home = os.environ.get("RAY_AUTH_MODE") == "token" and (Path.home() / ".ray" / "auth_token").exists()
    return named or at_home


def is_loopback(host: str) -> bool:
    """Whether a host is the loopback address of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(address: str, verify: str | bool) -> Any:
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise _no_client() from error
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)

    class Bounded(JobSubmissionClient):  # type: ignore[misc]
        """A client with timeouts, which the client of Ray lacks."""

        def _do_request(self, method: str, endpoint: str, **arguments: Any) -> Any:
            return super()._do_request(method, endpoint, **{"timeout": (CONNECT_S, ANSWER_S), **arguments})

    # The environment variable would override the argument.
    before = os.environ.get(ADDRESS)
    os.environ[ADDRESS] = address
    try:
        return Bounded(address, verify=verify, headers=_headers())
    except RuntimeError as error:
        if "ray[default]" in str(error):
            raise _no_client() from error
        raise
    finally:
        if before is None:
            del os.environ[ADDRESS]
        else:
            os.environ[ADDRESS] = before


def _headers() -> dict[str, str]:
    """HTTP headers for a proxy before the cluster, from the variable that the commands of Ray read, too."""
    written = os.environ.get("RAY_JOB_HEADERS")
    if not written:
        return {}
    try:
        return {str(name): str(value) for name, value in json.loads(written).items()}
    except (ValueError, AttributeError):
        raise ClusterError('RAY_JOB_HEADERS is not a JSON object\nSet it to text such as {"Name": "value"}') from None


def _no_client() -> ClusterError:
    return ClusterError(
        "jobs need the client of Ray, which is not installed\nInstall it: pip install 'everlearn[cluster]'"
    )


def _explanation(error: Exception, address: str, job: str | None) -> ClusterError:
    text = " ".join(str(error).split())
    kind = type(error).__name__
    if kind == "AuthenticationError" or "status code 401" in text or "status code 403" in text:
        what = "refuses the token" if "Authentication failed" in text or "status code 403" in text else "needs a token"
        return ClusterError(
            f"the cluster at {address} {what}\n"
            "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token of the cluster"
        )
    if job is not None and "status code 404" in text:
        return ClusterError(
            f"the cluster at {address} has no job {job}\n`everlearn status --address {address}` lists the jobs"
        )
    if isinstance(error, Lost):
        return ClusterError(
            f"the connection to the cluster at {address} was lost: {text[:LONGEST_CAUSE]}\n"
            f"The job may still be running: `everlearn logs {job} --follow --address {address}`"
        )
    chain = list(_chain(error))
    if any("CERTIFICATE_VERIFY_FAILED" in str(one) for one in chain):
        return ClusterError(
            f"the certificate of {address} is not trusted\n"
            "Give its certificate authority: --ca FILE, cluster.ca in the pipeline file, or REQUESTS_CA_BUNDLE"
        )
    if any(isinstance(one, TimeoutError) or type(one).__name__ == "ReadTimeout" for one in chain):
        return ClusterError(
            f"the cluster at {address} did not answer within {ANSWER_S} s\n"
            "Check that this is the dashboard of the Ray head, and that the head is healthy"
        )
    return ClusterError(
        f"the cluster at {address} is not a Ray dashboard, or failed: {kind}: {text[:LONGEST_CAUSE]}\n"
        "Give the address of the dashboard, http://HEAD:8265"
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _authority(ca: str | None) -> str | bool:
    named = ca or next((os.environ[name] for name in _AUTHORITIES if os.environ.get(name)), None)
    if named is None:
        return True
    path = Path(named).expanduser()
    try:
        if path.is_dir():
            return str(path)
        ssl.create_default_context(cafile=str(path))
    except OSError as error:
        reason = error.strerror if isinstance(error, FileNotFoundError) else "has no certificates in PEM format"
        raise ClusterError(
            f"the certificate authority {path}: {reason or error}\n"
            "Give a PEM file: --ca FILE, cluster.ca in the pipeline file, or REQUESTS_CA_BUNDLE"
        ) from error
    return str(path)


def _checked(address: str) -> str:
    if not address:
        raise ClusterError(
            f"no address of a cluster is given\nGive --address http://HEAD:8265, set {ADDRESS}, or write it into the "
            "pipeline file: cluster: {address: ...}"
        )
    try:
        return checked_address(address)
    except ValueError as error:
        raise ClusterError(f"{redact(address)} is not an address for jobs: it {error}") from None


def _reach(address: str) -> None:
    """Fail at once if nothing listens at the address: Ray itself would try for long, without a clear message."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=CONNECT_S).close()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ClusterError(
            f"the cluster at {address} cannot be reached: {reason}\n"
            "Give the address of the dashboard, http://HEAD:8265, and check that the dashboard is running"
        ) from error
