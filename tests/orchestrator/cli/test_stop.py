"""`everlearn stop`: ask a job to end, and wait until it has."""

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.jobs_server import JobsServer


def test_a_job_that_runs_is_stopped(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["stop", "job-1"]) == 0
    assert capsys.readouterr().out == "job-1: stopped\n"
    assert jobs_server.ended == {"job-1": "STOPPED"}


def test_a_job_that_has_ended_stays_as_it_is(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.ended["job-1"] = "SUCCEEDED"
    assert documented(capsys, 0, "stop", "job-1")["status"] == "SUCCEEDED"
