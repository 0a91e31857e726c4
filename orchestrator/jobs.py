"""Pipelines as jobs on a standing Ray cluster, through Ray's Jobs API: submit, look, follow, stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import ClusterError
from orchestrator.redact import redact
from orchestrator.shipment import FILE, Shipment

ADDRESS = "RAY_API_SERVER_ADDRESS"
STOPPED_STATUS = 143
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

_KIND, _PIPELINE = "everlearn.kind", "everlearn.pipeline"
_STOP_S = 30
_LONGEST_CAUSE = 300
# They set their own level when they are imported.
_TALKATIVE = (
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Job:
    """A job as the cluster knows it.

    Attributes:
        id: by which it is looked at, followed and stopped.
        pipeline, kind: what it runs; kind is run, tune or compare.
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        cause: why it failed, in one line; None unless it did.
        started, ended: Unix seconds.
        exit_status: of its process, once it ended.
    """

    id: str
    pipeline: str
    kind: str
    status: str
    cause: str | None
    started: float | None
    ended: float | None
    exit_status: int | None

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "job": self.id,
            "pipeline": self.pipeline,
            "kind": self.kind,
            "status": self.status,
            "cause": self.cause,
            "started": self.started,
            "ended": self.ended,
            "exit_status": self.exit_status,
        }


class Jobs:
    """The jobs of one cluster.

    Args:
        address: of the head's dashboard, `http://HEAD:8265`; None: RAY_API_SERVER_ADDRESS.

    Attributes:
        address: as it can be printed.

    Raises:
        ClusterError: there is no address, nobody listens there, or the cluster refuses.
    """

    def __init__(self, address: str | None = None) -> None:
        full = _checked(address or os.environ.get(ADDRESS, ""))
        self.address = redact(full)
        if _has_token():
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        _reach(full)
        with self._explained():
            self._client = _client(full)

    def warnings(self) -> list[str]:
        """What is wrong with the way to the cluster, though it works."""
        if _has_token() or _is_loopback(urlsplit(self.address).hostname or ""):
            return []
        return [
            f"{self.address} is not this machine, and asks for no token: whoever reaches it can run code there; "
            "start Ray with RAY_AUTH_MODE=token"
        ]

    def submit(self, shipment: Shipment, *, modules: Path | None = None, dependencies: Sequence[str] = ()) -> str:
        """Start a job, and return its id.

        Args:
            modules: folder that is sent along; the job runs in it.
            dependencies: requirements that pip installs for the job.

        Raises:
            ClusterError: the cluster refuses it.
        """
        from orchestrator.kubernetes.job import job_name

        with shipment.folder(modules) as folder, self._explained():
            environment: dict[str, Any] = {"working_dir": str(folder), "env_vars": dict(shipment.environment)}
            if dependencies:
                environment["pip"] = list(dependencies)
            return str(
                self._client.submit_job(
                    # PATH's python is that of the cluster, or of the job's own pip environment.
                    entrypoint=f"python -m orchestrator.cli.main {shipment.kind} {FILE}",
                    submission_id=job_name(shipment.pipeline, shipment.kind, secrets.token_hex(3)),
                    runtime_env=environment,
                    metadata={_KIND: shipment.kind, _PIPELINE: shipment.pipeline},
                )
            )

    def all(self) -> list[Job]:
        """The jobs that were submitted by Everlearn, the newest first."""
        with self._explained():
            found = [_job(details) for details in self._client.list_jobs() if _KIND in (details.metadata or {})]
        return sorted(found, key=lambda job: job.started or 0, reverse=True)

    def get(self, job: str) -> Job:
        """One job.

        Raises:
            ClusterError: there is none of that id.
        """
        with self._explained(job):
            return _job(self._client.get_job_info(job))

    def logs(self, job: str) -> str:
        """What the job has written so far, without the secrets that can be recognised."""
        with self._explained(job):
            return redact(str(self._client.get_job_logs(job)))

    def follow(self, job: str, write: Callable[[str], object]) -> Job:
        """Pass on what the job writes, whole lines at a time, until it ends; return it as it ended."""
        with self._explained(job):
            asyncio.run(self._tail(job, write))
        return self._wait(job)

    def stop(self, job: str) -> Job:
        """Ask the job to end, and wait until it has. One that has ended stays as it is."""
        with self._explained(job):
            self._client.stop_job(job)
        return self._wait(job)

    async def _tail(self, job: str, write: Callable[[str], object]) -> None:
        rest = ""
        async for chunk in self._client.tail_job_logs(job):
            # A secret may lie across two chunks, but not across two lines.
            lines, newline, rest = (rest + chunk).rpartition("\n")
            if newline:
                write(redact(lines) + newline)
        if rest:
            write(redact(rest) + "\n")

    def _wait(self, job: str) -> Job:
        until = time.monotonic() + _STOP_S
        found = self.get(job)
        while found.status not in ENDED and time.monotonic() < until:
            time.sleep(0.2)
            found = self.get(job)
        return found

    @contextlib.contextmanager
    def _explained(self, job: str | None = None) -> Iterator[None]:
        """Turn what Ray and its HTTP libraries raise into one short message."""
        try:
            yield
        except ClusterError:
            raise
        except Exception as error:
            raise _explanation(error, self.address, job) from error


def exit_status(job: Job) -> int:
    """What a command that waited for the job ends with: the job's own status, if it has one."""
    if job.status == "SUCCEEDED":
        return 0
    if job.status == "STOPPED":
        return STOPPED_STATUS
    return job.exit_status if job.exit_status is not None and 0 < job.exit_status < 256 else 1


def _client(address: str) -> Any:
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise _no_client() from error
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # The variable would win over the argument.
    before = os.environ.get(ADDRESS)
    os.environ[ADDRESS] = address
    try:
        return JobSubmissionClient(address)
    except RuntimeError as error:
        if "ray[default]" in str(error):
            raise _no_client() from error
        raise
    finally:
        if before is None:
            del os.environ[ADDRESS]
        else:
            os.environ[ADDRESS] = before


def _no_client() -> ClusterError:
    return ClusterError(
        "jobs need Ray's own client, which is not installed\nInstall it: pip install 'everlearn[cluster]'"
    )


def _explanation(error: Exception, address: str, job: str | None) -> ClusterError:
    text = " ".join(str(error).split())
    kind = type(error).__name__
    if kind == "AuthenticationError" or "status code 401" in text or "status code 403" in text:
        what = (
            "refuses the token" if "Authentication failed" in text or "status code 403" in text else "asks for a token"
        )
        return ClusterError(
            f"the cluster at {address} {what}\n"
            "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the token of the cluster"
        )
    if job is not None and "status code 404" in text:
        return ClusterError(f"the cluster at {address} knows no job {job}\n`everlearn status` lists them")
    return ClusterError(
        f"the cluster at {address} did not answer as Ray's jobs server does: {kind}: {text[:_LONGEST_CAUSE]}\n"
        "Give the address of the head's dashboard, http://HEAD:8265"
    )


def _checked(address: str) -> str:
    if not address:
        raise ClusterError(f"no cluster was named\nGive --address http://HEAD:8265, or set {ADDRESS}")
    full = (address if "://" in address else f"http://{address}").rstrip("/")
    try:
        parts = urlsplit(full)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ClusterError(f"{address} is no address for jobs\nGive that of the head's dashboard, http://HEAD:8265")
    return full


def _reach(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself would try for long, or say little."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=10).close()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ClusterError(
            f"the cluster at {address} cannot be reached: {reason}\n"
            "Give the address of the head's dashboard, http://HEAD:8265, and check that it listens"
        ) from error


def _has_token() -> bool:
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    at_home = os.environ.get("RAY_AUTH_MODE") == "token" and (Path.home() / ".ray" / "auth_token").exists()
    return named or at_home


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _job(details: Any) -> Job:
    metadata = details.metadata or {}
    status = str(getattr(details.status, "value", details.status))
    return Job(
        id=details.submission_id or details.job_id or "",
        pipeline=metadata.get(_PIPELINE, ""),
        kind=metadata.get(_KIND, ""),
        status=status,
        cause=_cause(details.message) if status == "FAILED" else None,
        started=_seconds(details.start_time),
        ended=_seconds(details.end_time) if status in ENDED else None,
        exit_status=details.driver_exit_code,
    )


def _cause(message: str | None) -> str:
    """The line that says most: the command's own last word, else the last line of what Ray tells."""
    lines = [line.strip() for line in _COLOUR.sub("", message or "").splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("everlearn: ")]
    return redact((own or lines or ["unknown"])[-1])[:_LONGEST_CAUSE]


def _seconds(milliseconds: int | None) -> float | None:
    return None if not milliseconds else milliseconds / 1000
