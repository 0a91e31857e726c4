"""Events on their way to the reporter and the callbacks; a callback that fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from orchestrator import Callback
from orchestrator.errors import CallbackFailed
from orchestrator.events import CheckpointWritten, CommitWritten, Resumed, StepDone, Warned, WorkersRestarted
from orchestrator.lineage.chain_metrics import chain_metrics
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.run_reporter import Reporter
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.observers import Observers
from pipelines.config.schema import Pipeline
from tests.orchestrator.train_stream import train
from tests.orchestrator.training.diary import Diary, pipeline


def commits(one: Pipeline) -> list[Commit]:
    lineage = Lineage(open_store(one.storage), one.name)
    found = lineage.ref("latest")
    assert found is not None
    return lineage.chain(found.commit)


def observers(*callbacks: Callback, chain: Sequence[Commit] = (), reporter: Reporter | None = None) -> Observers:
    return Observers(reporter or Reporter(), callbacks, chain, lambda chain: chain_metrics(chain)[-1])


def test_every_event_has_its_method(tmp_path: Path) -> None:
    diary = Diary()
    seen = observers(diary)
    made = pipeline(tmp_path)
    train(made, on_event=seen)
    for event in (CheckpointWritten(7), Resumed(1, 2), WorkersRestarted("killed"), Warned("mind")):
        seen(event)
    methods = diary.methods()
    assert methods[-4:] == ["on_checkpoint", "on_resume", "on_restart", "on_warning"]
    # Three steps may teach nothing of a class, which is warned of.
    assert set(methods[:-4]) - {"on_warning"} == {"on_experience_start", "on_step", "on_experience_end"}
    assert [note[1:] for note in diary.notes if note[0] == "on_experience_start"] == [(0, 3), (1, 3), (2, 3)]
    ends = [note for note in diary.notes if note[0] == "on_experience_end"]
    chain = commits(made)
    assert [note[1].id for note in ends] == [commit.id for commit in chain]
    assert [note[2] for note in ends] == [chain_metrics(chain[: k + 1])[-1] for k in range(3)]


def test_commits_whose_events_were_lost_are_handed_on_once_and_in_order(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    train(made)
    chain = commits(made)
    diary = Diary()
    seen = observers(diary, chain=chain[:1])
    seen(CommitWritten(chain[2].document()))
    seen.catch_up(chain)
    seen.catch_up(chain)
    assert [note[1].id for note in diary.notes] == [commit.id for commit in chain[1:]]


METHODS: list[tuple[str, Callable[[Observers], object]]] = [
    ("on_step", lambda seen: seen(StepDone(0, 1, 2, 0.5))),
    ("on_warning", lambda seen: seen(Warned("mind"))),
    ("on_checkpoint", lambda seen: seen(CheckpointWritten(1))),
]


@pytest.mark.parametrize(("method", "call"), METHODS)
def test_the_error_names_the_callback_and_the_method(method: str, call: Callable[[Observers], object]) -> None:
    broken, after = Diary(fail=method), Diary()
    seen = observers(broken, after)
    with pytest.raises(CallbackFailed) as raised:
        call(seen)
    first = f"callback {Diary.__module__}.Diary failed in {method}: ValueError: no room left on the disk"
    assert str(raised.value).splitlines()[0] == first and raised.value.exit_status == 1
    assert isinstance(raised.value.__cause__, ValueError)
    # Nothing more is handed on, to none of them.
    with pytest.raises(CallbackFailed):
        seen(Resumed(0, 1))
    assert broken.methods() == [method] and after.methods() == []


def test_warnings_of_other_threads_raise_nothing_there() -> None:
    seen = observers(Diary(fail="on_warning"))
    seen.warn("mind")
    with pytest.raises(CallbackFailed):
        seen.check()


def test_all_callbacks_learn_of_the_error_that_ends_the_run(tmp_path: Path) -> None:
    one, other = Diary(fail="on_run_failed"), Diary()
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), observers(one, other).following(pipeline(tmp_path)):
        raise error
    assert one.notes == other.notes == [("on_run_start", "seen", 0), ("on_run_failed", error)]


def test_a_reporter_that_fails_does_not_end_the_run() -> None:
    class Gone(Reporter):
        def event(self, event: object) -> None:
            raise BrokenPipeError

    diary = Diary()
    seen = observers(diary, reporter=Gone())
    seen(Warned("one"))
    seen(Warned("two"))
    assert diary.methods() == ["on_warning"] * 2
