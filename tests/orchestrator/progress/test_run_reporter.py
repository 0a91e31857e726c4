import pytest

from orchestrator.events import (
    CheckpointWritten,
    CommitWritten,
    ExperienceStarted,
    Resumed,
    StepDone,
    Warned,
    WorkersRestarted,
)
from orchestrator.progress.run_reporter import FINISHING, Reporter, RunState, score_so_far
from tests.orchestrator.progress.streams import commit, events, result, summary


def test_the_state_follows_a_run() -> None:
    state = RunState(summary())
    assert (state.index, state.stage, state.score) == (None, "starting", "")
    seen = []
    for event in events():
        state.take(event)
        seen.append((state.index, state.step, state.stage))
    assert (0, 4, "") in seen and (0, 4, "evaluating") in seen and (2, 1, "") in seen
    assert state.score == "accuracy so far 85.0 %"


def test_score_so_far_leaves_out_what_is_still_to_come() -> None:
    assert score_so_far(commit(0, of=5)) == pytest.approx(0.9)


def test_score_so_far_of_nothing() -> None:
    assert score_so_far({"experience": {"index": 0}, "row": []}) is None


def test_after_the_last_commit_only_the_end_is_left() -> None:
    state = RunState(summary())
    for event in events():
        assert state.stage != FINISHING
        state.take(event)
    assert state.stage == FINISHING


def test_when_all_is_reused_only_the_end_is_left() -> None:
    assert RunState(summary(reused=3)).stage == FINISHING


def test_an_early_commit_that_comes_late_leaves_the_next_experience_alone() -> None:
    state = RunState(summary())
    state.take(ExperienceStarted(1, 4))
    state.take(CommitWritten(commit(0)))
    assert (state.index, state.stage) == (1, "")


def test_an_experience_that_is_trained_again_after_a_restart() -> None:
    state = RunState(summary())
    state.take(ExperienceStarted(0, 4))
    state.take(StepDone(0, 3, 4, 1.0))
    state.take(WorkersRestarted("a worker failed"))
    assert state.stage == "restarting"
    state.take(ExperienceStarted(0, 4))
    assert (state.step, state.stage, state.loss) == (0, "", None)


def test_an_event_that_changes_nothing_is_passed_over() -> None:
    state = RunState(summary())
    before = vars(state).copy()
    for event in (Warned("mind"), Resumed(1, 2), CheckpointWritten(3)):
        state.take(event)
    assert vars(state) == before


def test_the_silent_reporter_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    with Reporter() as reporter:
        reporter.start(summary())
        for event in events():
            reporter.event(event)
        reporter.finish(result())
    assert capfd.readouterr() == ("", "")
