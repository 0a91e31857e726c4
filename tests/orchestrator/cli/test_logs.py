"""`everlearn logs`: what a job has written."""

import pytest

from orchestrator.cli.main import invoke
from orchestrator.jobs.relay.sender import MARK
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.jobs_server import JobsServer

WRITTEN = f"one\n{MARK}{{}}\ntwo\npassword=hunter2hunter2\n"


def test_the_lines_without_messages_and_secrets(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.written["job-1"] = WRITTEN
    assert invoke(["logs", "job-1"]) == 0
    assert capsys.readouterr().out.splitlines() == ["one", "two", "password=***"]


def test_the_last_lines(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.written["job-1"] = WRITTEN
    found = documented(capsys, 0, "logs", "job-1", "--tail", "2")
    assert found == {"job": "job-1", "lines": ["two", "password=***"]}
    assert invoke(["logs", "job-1", "--tail", "0"]) == 2


def test_a_job_that_is_not_there(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.submitted.clear()
    assert invoke(["stop", "nobody"]) == 3
    assert "has no job nobody" in capsys.readouterr().err


def test_a_job_is_followed_or_read_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    for other in (["--json"], ["--tail", "3"]):
        assert invoke(["logs", "job", "--follow", *other]) == 2
        assert "--follow" in capsys.readouterr().err
