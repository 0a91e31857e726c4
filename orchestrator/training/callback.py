"""Callbacks observe a run. A strategy changes what is learned, a callback never does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.events import CheckpointWritten, ExperienceStarted, Resumed, StepDone, WorkersRestarted
    from orchestrator.lineage.commit import Commit
    from orchestrator.result import RunResult
    from pipelines.config.schema import Pipeline


class Callback:
    """Observes a run: `run(pipeline, callbacks=[MyCallback()])`. The methods do nothing; override those of interest.

    They are called in the process that called `run`, never on a worker, one at a time: `on_run_start`, `on_run_end` and
    `on_run_failed` in the thread that called `run`, the others mostly in a thread that takes the workers' events.
    Training does not wait for them, so that an event may arrive when the workers are a few steps further. Events that
    are lost with a node are not repeated, except for `on_experience_end`: a commit that was written is never missed.

    An exception in a method stops the run: `run` raises `CallbackFailed`, which names the callback and the method and
    has exit status 1. Commits and checkpoints that were written stay, and the next run continues from them. After the
    exception only `on_run_failed` is called.
    """

    def on_run_start(self, pipeline: Pipeline, commits: Sequence[Commit]) -> None:
        """The run begins; nothing is trained yet.

        Args:
            commits: of the experiences that were trained before and are reused, oldest first.
        """

    def on_experience_start(self, event: ExperienceStarted) -> None:
        """An experience is in training, from its first step on."""

    def on_step(self, event: StepDone) -> None:
        """Progress within an experience: a few times a second at most, and after its last step."""

    def on_checkpoint(self, event: CheckpointWritten) -> None:
        """A checkpoint within an experience was written."""

    def on_resume(self, event: Resumed) -> None:
        """Training continues within an experience, from a checkpoint."""

    def on_restart(self, event: WorkersRestarted) -> None:
        """Workers failed and are started again."""

    def on_warning(self, text: str) -> None:
        """A warning for the person who follows the run."""

    def on_experience_end(self, commit: Commit, metrics: Mapping[str, float | None]) -> None:
        """The commit of an experience was written.

        Args:
            commit: with the experience in `commit.experience`, the test results in `commit.row` and the losses in
                `commit.losses`.
            metrics: by name, after this experience; None where one is not defined or not known yet.
        """

    def on_run_end(self, result: RunResult) -> None:
        """The run reached the end of the stream."""

    def on_run_failed(self, error: BaseException) -> None:
        """The run ended with this error, which `run` raises next; KeyboardInterrupt among them."""
