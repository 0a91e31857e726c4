"""Pipelines as jobs on a remote Ray cluster, through the Jobs API of Ray: submit, get, follow, stop."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.jobs.dashboard_client import LONGEST_CAUSE, Dashboard
from orchestrator.jobs.lost_nodes import incidents
from orchestrator.jobs.relay import VARIABLE, WANTED
from orchestrator.jobs.relay.sender import MARK
from orchestrator.jobs.runtime_env import Shipment
from orchestrator.redact import redact

STOPPED_STATUS = 143
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")

_KIND, _PIPELINE = "everlearn.kind", "everlearn.pipeline"
_STOP_S = 30
# Seconds after which a submitted job counts as started: in all, and once its process runs.
STARTING_S, _RUNNING_S = 15.0, 5.0
_LACKING = re.compile(r"No module named '?(orchestrator|pipelines|strategies)\b|python: (command )?not found")
_REMEDY = (
    "the `python` of the cluster has no Everlearn: install it on every node, in the environment that `ray start` runs "
    "in, or submit with --dependency everlearn"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True)
class Job:
    """A job, as the cluster reports it.

    Attributes:
        id: id of the job, for status, logs and stop.
        pipeline, kind: the pipeline, and the command: run, tune or compare.
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        cause: why it failed, in one line; None if it did not fail.
        started, ended: Unix seconds.
        exit_status: exit status of its process; None before its end.
        incidents: nodes and workers that it lost, each with the cause in one line.
    """

    id: str
    pipeline: str
    kind: str
    status: str
    cause: str | None
    started: float | None
    ended: float | None
    exit_status: int | None
    incidents: tuple[str, ...] = ()

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
            "incidents": list(self.incidents),
        }


class Jobs:
    """The jobs of one cluster.

    Attributes:
        address: address of the dashboard, without secrets.
    """

    def __init__(self, address: str | None = None, ca: str | None = None) -> None:
        """Arguments and errors are those of `Dashboard`."""
        self._dashboard = Dashboard(address, ca)
        self._client = self._dashboard.client
        self._explained = self._dashboard.explained
        self.address = self._dashboard.address

    def warnings(self) -> list[str]:
        """Security problems of the connection to the cluster."""
        return self._dashboard.warnings()

    def submit(self, shipment: Shipment) -> str:
        """Start a job, and return its id.

        Raises:
            ClusterError: the cluster refuses the job, or is unavailable.
        """
        from orchestrator.jobs.kubernetes.ray_job import job_name

        with shipment.folder() as folder, self._explained():
            # SIGINT ends the driver in order; at SIGTERM Ray would write a C++ stack into the log.
            variables = {VARIABLE: WANTED, "RAY_JOB_STOP_SIGNAL": "SIGINT", **shipment.environment}
            environment: dict[str, Any] = {"working_dir": str(folder), "env_vars": variables}
            if shipment.dependencies:
                environment["pip"] = list(shipment.dependencies)
            return str(
                self._client.submit_job(
                    # `python` in PATH is that of the cluster, or of the pip environment of the job.
                    entrypoint=f"python -m orchestrator.cli.main {shipment.command}",
                    submission_id=job_name(shipment.pipeline, shipment.kind, secrets.token_hex(3)),
                    runtime_env=environment,
                    metadata={_KIND: shipment.kind, _PIPELINE: shipment.pipeline},
                )
            )

    def started(self, job: str) -> Job:
        """The job when its start has succeeded or failed, or after some seconds in which it cannot."""
        until = time.monotonic() + STARTING_S
        found, runs = self.get(job), False
        while found.status not in ENDED and time.monotonic() < until:
            if found.status == "RUNNING" and not runs:
                runs, until = True, min(until, time.monotonic() + _RUNNING_S)
            with self._explained(job):
                if MARK in str(self._client.get_job_logs(job)):
                    break
            time.sleep(0.2)
            found = self.get(job)
        return found

    def all(self) -> list[Job]:
        """The jobs that Everlearn submitted, newest first."""
        with self._explained():
            listed = [details for details in self._client.list_jobs() if _KIND in (details.metadata or {})]
        lost = incidents(self._dashboard, listed)
        found = [_job(details, losses) for details, losses in zip(listed, lost, strict=True)]
        return sorted(found, key=lambda job: job.started or 0, reverse=True)

    def get(self, job: str) -> Job:
        """One job.

        Raises:
            ClusterError: there is no job with this id, or the cluster is unavailable.
        """
        with self._explained(job):
            details = self._client.get_job_info(job)
        return _job(details, incidents(self._dashboard, [details])[0])

    def logs(self, job: str) -> str:
        """The output of the job so far, without progress messages, and without secrets that can be recognised."""
        from orchestrator.jobs.relay.receiver import without_messages

        with self._explained(job):
            return redact(without_messages(str(self._client.get_job_logs(job))))

    def follow(self, job: str, write: Callable[[str], object]) -> Job:
        """Pass the output of the job to `write`, whole lines at a time, until the job ends; return the ended job.

        Args:
            write: for example a `Receiver`, which reads the progress messages in the output.
        """
        with self._explained(job):
            asyncio.run(self._tail(job, write))
        return self._wait(job)

    def stop(self, job: str) -> Job:
        """Stop the job, and wait until it has ended. A job that has already ended is not changed."""
        with self._explained(job):
            self._client.stop_job(job)
        return self._wait(job)

    async def _tail(self, job: str, write: Callable[[str], object]) -> None:
        rest = ""
        async for chunk in self._dashboard.tail(job):
            # A secret may be split over two chunks, but not over two lines.
            lines, newline, rest = (rest + chunk).rpartition("\n")
            if newline:
                write(redact(lines) + newline)
        if rest:
            write(redact(rest) + "\n")

    def _wait(self, job: str) -> Job:
        until = time.monotonic() + _STOP_S
        with self._explained(job):
            while str(self._client.get_job_status(job).value) not in ENDED and time.monotonic() < until:
                time.sleep(0.2)
        return self.get(job)


def exit_status(job: Job) -> int:
    """The exit status of a command that waited for the job: that of the job, if it has one."""
    if job.status == "SUCCEEDED":
        return 0
    if job.status == "STOPPED":
        return STOPPED_STATUS
    return job.exit_status if job.exit_status is not None and 0 < job.exit_status < 256 else 1


def _job(details: Any, lost: Sequence[str] = ()) -> Job:
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
        incidents=tuple(lost),
    )


def _cause(message: str | None) -> str:
    """The most useful line: the last message of `everlearn` itself, else the last line of the message of Ray."""
    from orchestrator.jobs.relay.receiver import without_messages

    lines = [line.strip() for line in _COLOUR.sub("", without_messages(message or "")).splitlines() if line.strip()]
    if any(_LACKING.search(line) for line in lines):
        return _REMEDY
    own = [line for line in lines if line.startswith("everlearn: ")]
    return redact((own or lines or ["unknown"])[-1])[:LONGEST_CAUSE]


def _seconds(milliseconds: int | None) -> float | None:
    return None if not milliseconds else milliseconds / 1000
