"""Callbacks observe a run; one that fails stops it.

Covers: `orchestrator/training/observers.py`
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Callback, run
from orchestrator.errors import CallbackFailed
from orchestrator.events import (
    CheckpointWritten,
    ExperienceStarted,
    Resumed,
    StepDone,
    Warned,
    WorkersRestarted,
)
from orchestrator.lineage.chain_metrics import chain_metrics
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.lineage import Lineage
from orchestrator.progress.run_reporter import Reporter
from orchestrator.result import RunResult
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.observers import Observers
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.in_process import train

EXAMPLE = Path(__file__).parents[3] / "docs/examples/csv_callback.py"


def pipeline(folder: Path, strategy: str = "[{name: naive}]") -> Pipeline:
    return load_text(
        "name: seen\nstream: {dataset: digits, order: [[0, 1], [2, 3], [4, 5]]}\nmodel: {name: mlp, hidden: [16]}\n"
        f"strategy: {strategy}\ntrain: {{epochs: 1, batch_size: 32, checkpoint_every: 0}}\n"
        f"storage: {folder}/store\ntracking: {{uri: 'http://127.0.0.1:9'}}\n"
    )


def commits(one: Pipeline) -> list[Commit]:
    lineage = Lineage(open_store(one.storage), one.name)
    found = lineage.ref("latest")
    assert found is not None
    return lineage.chain(found.commit)


class Diary(Callback):
    """Notes what it is called with; raises in the method called `fail`."""

    def __init__(self, fail: str = "") -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.fail = fail

    def note(self, method: str, *values: Any) -> None:
        self.notes.append((method, *values))
        if method == self.fail:
            raise ValueError("no room left\non the disk")

    def methods(self) -> list[str]:
        return [note[0] for note in self.notes]

    def on_run_start(self, pipeline: Pipeline, commits: Sequence[Commit]) -> None:
        self.note("on_run_start", pipeline.name, len(commits))

    def on_experience_start(self, event: ExperienceStarted) -> None:
        self.note("on_experience_start", event.index, event.of)

    def on_step(self, event: StepDone) -> None:
        self.note("on_step", event.step)

    def on_checkpoint(self, event: CheckpointWritten) -> None:
        self.note("on_checkpoint", event.step)

    def on_resume(self, event: Resumed) -> None:
        self.note("on_resume", event.index, event.step)

    def on_restart(self, event: WorkersRestarted) -> None:
        self.note("on_restart", event.text)

    def on_warning(self, text: str) -> None:
        self.note("on_warning", text)

    def on_experience_end(self, commit: Commit, metrics: Mapping[str, float | None]) -> None:
        self.note("on_experience_end", commit, dict(metrics))

    def on_run_end(self, result: RunResult) -> None:
        self.note("on_run_end", result)

    def on_run_failed(self, error: BaseException) -> None:
        self.note("on_run_failed", error)


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
    assert set(methods[:-4]) == {"on_experience_start", "on_step", "on_experience_end"}
    assert [note[1:] for note in diary.notes if note[0] == "on_experience_start"] == [(0, 3), (1, 3), (2, 3)]
    ends = [note for note in diary.notes if note[0] == "on_experience_end"]
    chain = commits(made)
    assert [note[1].id for note in ends] == [commit.id for commit in chain]
    assert [note[2] for note in ends] == [chain_metrics(chain[: k + 1])[-1] for k in range(3)]


def test_commits_whose_events_were_lost_are_handed_on_once_and_in_order(tmp_path: Path) -> None:
    from orchestrator.events import CommitWritten

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
    first = f"callback {__name__}.Diary failed in {method}: ValueError: no room left on the disk"
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


def test_a_run_with_nothing_to_train_begins_and_ends(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    train(made)
    diary = Diary()
    result = run(made, callbacks=[diary])
    assert [note for note in diary.notes if note[0] != "on_warning"] == [
        ("on_run_start", "seen", 3),
        ("on_run_end", result),
    ]


def csv_callback(path: Path) -> Callback:
    spec = importlib.util.spec_from_file_location("csv_callback", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callback = module.CSVCallback(path)
    return made


def test_the_example_is_short_enough_to_be_copied() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 20


@pytest.mark.ray
@pytest.mark.slow
def test_the_example_writes_the_metrics_of_a_run(tmp_path: Path) -> None:
    diary = Diary()
    result = run(pipeline(tmp_path), callbacks=[csv_callback(tmp_path / "metrics.csv"), diary])
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["experience"]) for row in rows] == [0, 1, 2]
    assert [float(row["average_accuracy"]) for row in rows] == [m["average_accuracy"] for m in result.history]
    assert diary.methods()[0] == "on_run_start" and diary.methods()[-1] == "on_run_end"
    assert diary.methods().count("on_experience_end") == diary.methods().count("on_experience_start") == 3


@pytest.mark.ray
@pytest.mark.slow
def test_a_callback_that_fails_stops_the_run_and_the_next_one_continues(tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    diary = Diary(fail="on_experience_end")
    with pytest.raises(CallbackFailed, match="Diary failed in on_experience_end"):
        run(made, callbacks=[diary])
    assert diary.methods()[-2:] == ["on_experience_end", "on_run_failed"]
    result = run(made)
    assert result.reused >= 1 and result.reused + result.trained == 3
