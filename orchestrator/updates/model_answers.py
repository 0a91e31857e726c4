"""What the model of a commit answers on test sets that its commit does not record, where their data is at hand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.errors import CorruptBlob

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.stream_experience import StreamExperience
    from pipelines.data.streams import Stream
    from strategies.loop.evaluation import Evaluation
    from strategies.loop.learner import Learner

_TIMED_SAMPLES = 256
_TIMED_BATCHES = 40


class ModelAnswers:
    """Evaluates the models of commits of one pipeline, in this process on the CPU.

    A model is asked as after training, by its strategies, with the memories that its commit records.
    """

    def __init__(self, lineage: Lineage, pipeline: Pipeline, stream: Stream) -> None:
        from pipelines.config.found_settings import with_found

        self.stream = stream
        self._lineage, self._pipeline = lineage, with_found(pipeline, stream.settings)
        self._learners: dict[str, Learner] = {}

    @cached_property
    def by_network(self) -> bool:
        """Whether the network's own output is the answer: not a strategy's, that may ask its memory or the task."""
        from pipelines.build import make_strategies
        from strategies.loop.hooks import overriding

        return not overriding(make_strategies(self._pipeline), "predict")

    def knows(self, experience: int, test: str) -> bool:
        """Whether the stream holds this test set, by its fingerprint."""
        return experience < len(self.stream) and self.stream.test_fingerprint(experience) == test

    def fits(self, commit: Commit) -> bool:
        """Whether the pipeline has the model and the strategies of the commit, so that its state can be loaded."""
        from orchestrator.lineage.plan import influence

        index = commit.experience.index
        if index >= len(self.stream):
            return False
        ours, theirs = influence(self._pipeline, self.stream, index), commit.spec
        same = all(ours.get(key) == theirs.get(key) for key in ("model", "objective", "input_shape", "outputs"))
        return same and _names(ours.get("strategy")) == _names(theirs.get("strategy"))

    def assess(self, commit: Commit, experiences: Sequence[int]) -> Evaluation:
        """The commit's model on the test sets of these experiences.

        Raises:
            CorruptBlob: the commit's state does not fit the pipeline.
            StorageError: it cannot be read.
        """
        return self.assess_on(commit, [self.stream[i] for i in experiences])

    def assess_on(self, commit: Commit, experiences: Sequence[StreamExperience]) -> Evaluation:
        """As `assess`, on the test sets of given experiences."""
        learner = self._learner(commit)
        return learner.assess(experiences, seen=max((one.index for one in experiences), default=-1) + 1)

    def time_ratios(self, champion: Commit, candidate: Commit, experience: int) -> list[float]:
        """How many times as long the candidate takes as the champion, for the same batch, measured in turn, (40,)."""
        import torch

        chosen = self.stream[experience]
        inputs, _ = chosen.test.take(torch.arange(min(_TIMED_SAMPLES, len(chosen.test))))
        learners = [self._learner(commit) for commit in (champion, candidate)]
        ratios = []
        with torch.inference_mode():
            for repeat in range(_TIMED_BATCHES + 2):
                seconds = []
                for learner in learners if repeat % 2 else learners[::-1]:
                    with learner.evaluating():
                        ready = learner.prepare(inputs)
                        start = time.perf_counter()
                        learner.scores(ready, chosen)
                        seconds.append(time.perf_counter() - start)
                first, second = seconds if repeat % 2 else seconds[::-1]
                ratios.append(second / first if first else 1.0)
        return ratios[2:]

    def _learner(self, commit: Commit) -> Learner:
        from orchestrator.checkpointing.snapshot import load_commit
        from pipelines.build import configure, make_learner, train_settings
        from strategies.loop.process_group import Group

        if commit.id not in self._learners:
            if not self.fits(commit):
                raise CorruptBlob(f"commit {commit.id[:12]}: the pipeline has another model or other strategies")
            index = commit.experience.index
            learner = make_learner(self._pipeline, self.stream, Group(), "cpu")
            configure(learner, self._pipeline, index)
            # Memories are for training, and for a strategy that answers by them: they are what grows with the past.
            load_commit(
                learner,
                self._lineage,
                commit,
                optimizer=train_settings(self._pipeline, index).optimizer,
                memories=not self.by_network,
            )
            self._learners[commit.id] = learner
        return self._learners[commit.id]


def _names(strategies: Any) -> list[Any]:
    return [one.get("name") for one in strategies or () if isinstance(one, dict)]
