"""`everlearn status`: the jobs of a cluster."""

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.jobs_server import JobsServer


def test_all_jobs_or_one(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = {"submission_id": "foreign", "entrypoint": "sleep 1", "metadata": {}}
    jobs_server.submitted.append(foreign)
    assert invoke(["status"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["job", "status", "started", "seconds"]
    assert line.split()[:2] == ["job-1", "pending"] and line.split()[2] == "2023-11-14"
    (one,) = documented(capsys, 0, "status")
    assert (one["job"], one["pipeline"], one["kind"], one["status"]) == ("job-1", "small", "run", "PENDING")
    assert documented(capsys, 0, "status", "job-1") == one


def test_a_failed_job_says_why(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.ended["job-1"] = "FAILED"
    assert invoke(["status", "job-1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "job-1: unknown"


def test_a_cluster_without_jobs(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.submitted.clear()
    assert invoke(["status"]) == 0
    assert capsys.readouterr().out == f"no jobs at {jobs_server.address}\n"
    assert documented(capsys, 0, "status") == []
