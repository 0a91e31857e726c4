"""A callback that notes everything, and a small pipeline for it to observe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import Callback
from orchestrator.events import CheckpointWritten, ExperienceStarted, Resumed, StepDone, WorkersRestarted
from orchestrator.lineage.commit import Commit
from orchestrator.result import RunResult
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline


def pipeline(folder: Path, strategy: str = "[{name: naive}]") -> Pipeline:
    return load_text(
        "name: seen\nstream: {dataset: digits, order: [[0, 1], [2, 3], [4, 5]]}\nmodel: {name: mlp, hidden: [16]}\n"
        f"strategy: {strategy}\ntrain: {{epochs: 1, batch_size: 32, checkpoint_every: 0}}\n"
        f"storage: {folder}/store\ntracking: {{uri: 'http://127.0.0.1:9'}}\n"
    )


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
