import subprocess
import sys

import pytest

from orchestrator.cli.main import invoke
from tests.orchestrator.cli.commands import everlearn, python

HEAVY = ("ray", "mlflow", "torch", "boto3", "sklearn", "pandas", "matplotlib", "pydantic", "numpy", "pyarrow")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, orchestrator; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert python(code).stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from orchestrator.cli.main import invoke; "
        f"status = invoke({arguments!r}); print([n for n in {HEAVY!r} if n in sys.modules], status)"
    )
    assert python(code).stdout.strip().endswith("[] 0")


def test_help_lists_the_commands_in_the_order_in_which_one_meets_them() -> None:
    lines = everlearn("--help").stdout.partition("Commands:")[2].splitlines()
    commands = ["example", "init"]
    commands += ["run", "tune", "compare", "validate", "recommend", "list", "log", "show", "predict", "drift"]
    commands += ["publish", "ui"]
    commands += ["step", "watch", "schedule", "sources", "backfill", "shuffle"]
    commands += ["gate", "promote", "rollback", "audit"]
    commands += ["serve", "shadow", "export"]
    commands += ["submit", "status", "logs", "stop"]
    commands += ["fsck", "gc", "forget", "copy"]
    assert [line.split()[0] for line in lines if line] == commands
    assert not any(line.endswith("...") for line in lines)


def test_version() -> None:
    done = everlearn("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("everlearn 0.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ["everlearn:", "nonsense"]),
        (["run"], ["everlearn run:", "FILE"]),
        (["run", "x.yaml", "--wrong"], ["everlearn run:", "--wrong"]),
        (["run", "x.yaml", "--workers", "0"], ["everlearn run:", "0"]),
        (["list", "things"], ["everlearn list:", "things", "strategies"]),
    ],
)
def test_wrong_arguments_are_two_lines_on_stderr_and_status_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 2 and "--help" in err
    assert all(word in err for word in words)


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([]) == 2
    assert "Commands:" in "".join(capsys.readouterr())


@pytest.mark.parametrize("arguments", ["--help", "list strategies"])
def test_a_reader_that_goes_away_is_no_error(arguments: str) -> None:
    command = f"{sys.executable} -m orchestrator.cli.main {arguments} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout.strip() in ("0", "141")


def test_characters_that_a_terminal_cannot_show_are_replaced() -> None:
    done = everlearn("run", "\N{SNOWMAN}.yaml", environment={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2 and "Traceback" not in done.stderr
