"""The lines that every visible reporter shares."""

import io

from rich.console import Console

from orchestrator.events import Resumed
from orchestrator.progress.plain_reporter import PlainReporter
from orchestrator.progress.progress_lines import earlier_lines, experience_line, headline, report, resumed_line
from orchestrator.progress.run_reporter import Summary
from orchestrator.progress.terminal_reporter import TerminalReporter
from tests.orchestrator.progress.streams import commit, result, summary


def shown(reused: int = 0, arguments: str = "p.yaml", run_id: str | None = "r1") -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=100, highlight=False)
    report(result(3, reused, run_id), summary(3, reused), console, "everlearn", arguments)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_headline_says_what_is_about_to_run() -> None:
    name, what = headline(summary()).plain.splitlines()
    assert name == "split-digits"
    assert what == "class-incremental, 3 experiences of digits, mlp, ewc + replay, 2 workers"
    assert (
        headline({"pipeline": "p", "experiences": 1, "reused": 0, "workers": "1-4"}).plain
        == "p\n1 experience, 1-4 workers"
    )


def test_an_experience_is_one_line() -> None:
    line = experience_line(commit(1)).plain
    assert line.split() == ["experience", "1", "classes", "2", "3", "accuracy", "87.5", "%", "loss", "0.25", "1.8", "s"]
    assert experience_line(commit(1), reused=True).plain.endswith("  reused")
    named = experience_line(commit(1), domains=["2024-01", "2024-02 and\na name that is long"]).plain
    assert " 2024-02 and a name \N{HORIZONTAL ELLIPSIS} " in named and "classes" not in named
    assert " classes cat emu " in experience_line(commit(1), names=["ox", "fox", "cat", "emu"]).plain
    without = {**commit(1), "losses": [], "timings": None}
    assert "loss" not in experience_line(without).plain


def test_reused_experiences_without_a_line_of_their_own_are_counted() -> None:
    newest: Summary = {"pipeline": "p", "experiences": 9, "reused": 7, "chain": [commit(5), commit(6)]}
    assert [line.plain for line in earlier_lines(newest)] == ["  5 earlier experiences   reused"]
    assert earlier_lines({**newest, "reused": 2}) == []
    for reporter in (PlainReporter, TerminalReporter):
        out = io.StringIO()
        with reporter(Console(file=out, width=80)) as shown:
            shown.start(newest)
        lines = [line for line in out.getvalue().splitlines() if line.endswith("reused")]
        assert len(lines) == 3 and "5 earlier" in lines[0]


def test_where_a_run_resumes() -> None:
    line = resumed_line(Resumed(3, 1200)).plain
    assert "experience 3" in line and "step 1,200" in line


def test_the_report_ends_with_what_to_do_next() -> None:
    lines = shown()
    assert any(line.split()[:2] == ["average", "accuracy"] for line in lines)
    assert "done     trained 3 experiences in 12.3 s" in lines
    assert any(line.startswith("model    000000000000") and line.endswith("in .everlearn/store") for line in lines)
    assert lines[-2:] == ["lineage  everlearn log p.yaml", "MLflow   everlearn ui p.yaml"]
    assert shown(run_id=None)[-1].endswith("everlearn publish p.yaml")
    assert "done     trained 2 experiences, reused 1 in 12.3 s" in shown(1)
    assert "done     nothing to train: 3 experiences reused" in shown(3)
    assert not any("everlearn" in line.split() for line in shown(arguments=""))
