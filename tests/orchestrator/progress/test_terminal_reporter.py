import io
import re

from rich.console import Console

from orchestrator.events import CommitWritten, StepDone, Warned
from orchestrator.progress.run_reporter import RunState
from orchestrator.progress.terminal_reporter import TerminalReporter, _Present
from tests.orchestrator.progress.streams import commit, events, result, summary

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def terminal(width: int = 80) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=width, height=24, force_terminal=True, color_system=None), out


def present(state: RunState, width: int = 80) -> list[str]:
    console, out = terminal(width)
    console.print(_Present(state))
    return [line.rstrip() for line in ESCAPES.sub("", out.getvalue()).splitlines()]


def test_finished_experiences_stay_and_the_report_follows() -> None:
    console, out = terminal()
    with TerminalReporter(console, ".venv/bin/everlearn", "x.yaml") as reporter:
        reporter.start(summary(reused=1))
        for event in events(first=1):
            reporter.event(event)
        reporter.event(Warned("the tracking server is away"))
        reporter.finish(result(reused=1))
    text = ESCAPES.sub("", out.getvalue())
    for index in range(3):
        assert f"experience {index}   classes {2 * index} {2 * index + 1}" in text
    assert "warning  the tracking server is away" in text
    assert ".venv/bin/everlearn ui x.yaml" in text and "average accuracy" in text


def test_the_cursor_is_back_after_a_failure() -> None:
    console, out = terminal()
    try:
        with TerminalReporter(console) as reporter:
            reporter.start(summary())
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


def test_before_the_first_experience_it_says_what_it_waits_for() -> None:
    assert "starting the training" in present(RunState(summary()))[0]


def test_the_live_lines_show_step_loss_rate_and_accuracy_in_80_columns() -> None:
    state = RunState(summary())
    state.take(CommitWritten(commit(0)))
    state.take(StepDone(1, 12345, 123456, 0.12345, rate=123456.7))
    first, second = present(state)
    assert first.startswith("  experience 1") and first.endswith("step 12,345/123,456")
    assert second.split("   ")[0].strip() == "2 of 3"
    assert "loss 0.123   123,457 samples/s   accuracy so far 90.0 %" in second
    assert max(len(first), len(second)) <= 80


def test_a_stage_replaces_the_loss() -> None:
    state = RunState(summary())
    for event in events()[:6]:
        state.take(event)
    assert "consolidating" in present(state)[1]


def test_the_time_until_the_end_is_shown_when_nothing_is_to_be_trained() -> None:
    assert "finishing" in present(RunState(summary(reused=3)))[0]
