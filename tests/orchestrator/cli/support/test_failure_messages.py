import errno
import signal

import click
import pytest

from orchestrator.cli.main import invoke
from orchestrator.cli.support.failure_messages import failure_lines, failure_status
from orchestrator.errors import ClusterError, CorruptBlob, RunFailed, StorageError, TrackingError
from pipelines.config.pipeline_errors import DataError, PipelineError
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RunFailed("a worker failed"), 1),
        (NonFiniteLoss(2, 17, float("nan")), 1),
        (ZeroDivisionError("division by zero"), 1),
        (PipelineError("x.yaml:3: name: is required"), 2),
        (DataError("mnist: not found"), 2),
        (StrategyError("ewc and x do not compose"), 2),
        (click.UsageError("no such option"), 2),
        (StorageError("bucket b does not exist"), 3),
        (CorruptBlob("blob 0123 is damaged"), 3),
        (TrackingError("the server does not answer"), 3),
        (ClusterError("no cluster at x:1"), 3),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 3),
    ],
)
def test_every_error_has_its_status_and_a_short_text(error: Exception, status: int) -> None:
    assert failure_status(error) == status
    lines = failure_lines(error)
    assert 1 <= len(lines) <= 3 and all(line.strip() for line in lines)


def test_the_problems_of_a_file_are_lines_that_an_editor_can_jump_to() -> None:
    error = PipelineError(["x.yaml:3: name: is required", "x.yaml:9: strategy.0.lambda: must be at least 0, got -3"])
    assert failure_lines(error) == error.problems


def test_a_full_disk_names_the_file() -> None:
    assert failure_lines(OSError(errno.ENOSPC, "No space left on device", "/x/y")) == [
        "everlearn: /x/y: No space left on device"
    ]


def test_an_unexpected_error_says_what_it_is_and_how_to_see_more() -> None:
    first, second = failure_lines(ValueError("bad thing\nand much more"))
    assert first == "everlearn: unexpected ValueError: bad thing [...]" and "--debug" in second
    assert "no message" in failure_lines(ValueError())[0]


def test_secrets_in_messages_are_hidden() -> None:
    lines = failure_lines(ValueError("cannot reach http://user:hunter2secret@host/x"))
    assert "hunter2secret" not in "\n".join(lines)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """What the command `list` raises."""
    errors: list[BaseException] = []

    def names(kind: str) -> None:
        raise errors[0]

    monkeypatch.setattr("pipelines.config.components.names", names)
    return errors


def test_a_traceback_only_with_debug(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    failing.append(StorageError("bucket b does not exist"))
    assert invoke(["list", "strategies"]) == 3
    out, err = capsys.readouterr()
    assert (out, err) == ("", "everlearn: bucket b does not exist\n")
    assert invoke(["list", "strategies", "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_nothing_is_on_stdout_when_json_was_asked_for_and_it_failed(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(TrackingError("away"))
    assert invoke(["list", "models", "--json"]) == 3
    assert capsys.readouterr().out == ""


def test_interrupting_is_one_line(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    failing.append(KeyboardInterrupt())
    assert invoke(["list", "strategies"]) == 130
    assert capsys.readouterr().err.strip() == "Interrupted."


@pytest.mark.parametrize(
    ("stop", "status"), [(KeyboardInterrupt(), 130), (SystemExit(1), 130), (SystemExit(signal.SIGTERM), 143)]
)
def test_interrupting_a_run_says_how_it_continues(
    stop: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(file: str, overrides: object) -> None:
        raise stop

    monkeypatch.setattr("orchestrator.cli.run.load", load)
    assert invoke(["run", "x.yaml"]) == status
    assert (
        capsys.readouterr().err.strip()
        == "Interrupted. Run the same command to resume after the last finished experience."
    )
