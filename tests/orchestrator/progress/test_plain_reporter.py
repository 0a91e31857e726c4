import io

import pytest
from rich.console import Console

from orchestrator.events import Waiting, Warned, WorkersRestarted
from orchestrator.progress import plain_reporter
from orchestrator.progress.plain_reporter import PlainReporter
from tests.orchestrator.progress.streams import events, result, summary


def shown(
    reused: int = 0, extra: tuple[dict[str, str], ...] = (), run_id: str | None = "r1", tables: bool = True
) -> str:
    out = io.StringIO()
    with PlainReporter(Console(file=out, width=80), arguments="pipelines/x.yaml", tables=tables) as reporter:
        reporter.start(summary(reused=reused))
        for event in (*extra, *events(first=reused)):
            reporter.event(event)
        reporter.finish(result(reused=reused, run_id=run_id))
    return out.getvalue()


def test_one_line_for_each_experience_then_matrix_metrics_and_what_to_do_next() -> None:
    text = shown()
    lines = text.splitlines()
    assert lines[:2] == ["split-digits", "class-incremental, 3 experiences of digits, mlp, ewc + replay, 2 workers"]
    assert [line.split()[:2] for line in lines[2:5]] == [["experience", str(index)] for index in range(3)]
    assert "classes 2 3" in lines[3] and "accuracy  87.5 %" in lines[3] and "loss 0.25        1.8 s" in lines[3]
    assert "80.0  85.0  90.0   85.0" in text
    assert "average accuracy              85.0 %" in text
    assert "trained 3 experiences in 12.3 s" in text
    assert "everlearn log pipelines/x.yaml" in text and "everlearn ui pipelines/x.yaml" in text
    assert "000000000000  in .everlearn/store" in text
    assert "\x1b" not in text


def test_reused_experiences_are_shown_as_such() -> None:
    text = shown(reused=2)
    assert [line.endswith("reused") for line in text.splitlines()[2:5]] == [True, True, False]
    assert "trained 1 experience, reused 2 in" in text


def test_nothing_to_train() -> None:
    assert "nothing to train: 3 experiences reused" in shown(reused=3)


def test_warnings_and_restarts_are_lines() -> None:
    text = shown(
        extra=(
            Warned("ewc alone forgets: add replay"),
            WorkersRestarted("a worker failed"),
        )
    )
    assert "warning: ewc alone forgets: add replay\n" in text and "restart: a worker failed\n" in text


def test_incomplete_tracking_names_the_remedy() -> None:
    text = shown(run_id=None)
    assert "everlearn publish pipelines/x.yaml" in text and "everlearn ui" not in text


def test_without_tables_only_the_progress() -> None:
    text = shown(tables=False)
    assert len(text.splitlines()) == 5


def test_steps_of_a_long_experience_are_shown_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_reporter, "SECONDS_BETWEEN_STEPS", 0.0)
    assert "  experience 0   step 2/4   loss 0.5   1,234 samples/s\n" in shown()


def test_a_log_says_what_is_waited_for() -> None:
    assert "waiting: for Ray on this machine to start 2 workers\n" in shown(
        extra=(Waiting("for Ray on this machine to start 2 workers"),)
    )
