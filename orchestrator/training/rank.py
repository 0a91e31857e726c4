"""One rank's part in taking a model through the experiences that are left."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.checkpointing.ask_capabilities import answer, records
from orchestrator.checkpointing.async_commit import Committer
from orchestrator.checkpointing.check_storable import check_storable
from orchestrator.checkpointing.checkpoint import (
    Checkpoint,
    Checkpointer,
    latest_checkpoint,
    remove_checkpoints,
    resume_from,
)
from orchestrator.checkpointing.evaluation_record import flips, packed, quality, score_records, test_count
from orchestrator.checkpointing.model_description import describing
from orchestrator.checkpointing.reused_adapters import REUSED, reusable, reuse
from orchestrator.checkpointing.sharded_checkpoint import ShardedCheckpointer
from orchestrator.checkpointing.snapshot import Snapshot, load_answers, load_commit, take_snapshot
from orchestrator.events import Event, Resumed, StageStarted, Warned
from orchestrator.lineage.forgotten_ids import Tombstones, bury, read_tombstones
from orchestrator.lineage.past_outline import read_past
from orchestrator.progress.capability_table import lost_text
from orchestrator.training.loss_curve import LossCurve
from pipelines.build import configure, make_learner, train_settings
from pipelines.config.found_settings import with_found
from pipelines.config.named_scores import named_scores
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.evaluate_section import evaluated
from pipelines.models.global_batch_norm import check_workers
from pipelines.models.model_contract import check_model
from pipelines.models.trained_weights import trained_weights
from strategies.api.data import target_counts
from strategies.importance.one_by_one import SlowImportance
from strategies.loop.rank_agreement import check_ranks
from strategies.loop.sharded_learner import ShardedLearner
from strategies.metrics import ACCURACY, result_warning

if TYPE_CHECKING:
    import torch

    from orchestrator.lineage.capability_record import AnswersRecord
    from orchestrator.lineage.commit import Commit
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.lineage.measurements import TestCount
    from orchestrator.lineage.plan import PlannedCommit
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.loop.evaluation import Count, Evaluation
    from strategies.loop.learner import Learner
    from strategies.loop.process_group import Group

NOTICE = "preemption notice: a node of this run will stop; saving a checkpoint"


@dataclass
class RankTraining:
    """Everything that a rank needs to continue a stream.

    Attributes:
        pipeline, stream, plan: what is to be done.
        lineage: where commits are kept.
        group, device: the ranks that learn together, and this one's device.
        on_event: gets the events of rank 0.
        ref: the name to move to every new commit, None for no name (a search's trials).
        reuse_adapters: take the adapters of stored commits that learned the same data instead of training them (see
            `orchestrator.checkpointing.reused_adapters`).
        chain: the first commits of the plan, as far as they were read under the claim of the run.
        preempted: whether a preemption notice has come; rank 0 then saves a checkpoint at once.
    """

    pipeline: Pipeline
    stream: Stream
    plan: Sequence[PlannedCommit]
    lineage: Lineage
    group: Group
    device: torch.device
    on_event: Callable[[Event], object]
    ref: str | None = "latest"
    reuse_adapters: bool = False
    chain: Sequence[Commit] = ()
    preempted: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.pipeline = with_found(self.pipeline, self.stream.settings)

    def run(self) -> None:
        """Train every experience that has no commit yet; on return all commits are written.

        Raises:
            ClaimLost: another took over the claim under which this runs.
            NonFiniteLoss, StrategyError, PipelineError, StorageError.
        """
        self.lineage.check_fence()
        ids = [planned.id for planned in self.plan]
        chain = self.lineage.leading(ids, self.chain) if self.chain else read_past(self.lineage, ids).chain
        done = int(self.group.broadcast(str(len(chain)).encode()))
        if done and self.group.rank == 0:
            # A run that was killed between a commit and its clean-up has left them.
            remove_checkpoints(self.lineage, self.plan[done - 1].id)
        if done == len(self.plan):
            return
        self._check_weights()
        learner = make_learner(self.pipeline, self.stream, self.group, self.device)
        example = learner.example(self.stream[done].train)
        check_model(learner.model, example, self.stream.outputs, tokens=learner.objective.targets == "tokens")
        if self.group.size > 1:
            check_workers(learner.model, example)
        if not done:
            check_storable(self.pipeline, self.stream, learner)
        if len(chain) != done:  # another rank has seen more, or less
            chain = self.lineage.chain(self.plan[done - 1].id) if done else []
        unknown = self._unknown(c.baseline for c in chain)
        if unknown and learner.objective.targets == "numbers":
            # Scores are in the unit of the targets of experience 0.
            learner.objective.begin_samples(self.stream[0].train, learner.outputs)
        baseline = self._evaluate(learner, unknown)
        asked = bool(self.stream.capabilities) and self.ref is not None  # a search has many trials
        before: Sequence[AnswersRecord] = (chain[0].capabilities_before or ()) if chain else ()
        if asked and not chain:
            before = answer(learner, self.stream, -1)
        previous: list[TestCount] = []
        answers: Mapping[int, torch.Tensor] = {}
        tombstones = read_tombstones(self.lineage)
        if chain:
            configure(learner, self.pipeline, done - 1)
            load_commit(learner, self.lineage, chain[-1], optimizer=train_settings(self.pipeline, done - 1).optimizer)
            previous = self._evaluate(learner, self._missed(chain[-1].row, done))
            answers = load_answers(self.lineage, chain[-1])
        sources = reusable(self.lineage, self.plan, self.group, done) if self.reuse_adapters else {}
        with Committer(self.lineage, self.ref, self._emit, write=self.group.rank == 0) as committer:
            for index in range(done, len(self.plan)):
                made = self._reused(learner, index, sources[index]) if index in sources else None
                if made is None:
                    first = index == done
                    checkpoint = latest_checkpoint(self.lineage, self.plan[index].id, self.group) if first else None
                    made = self._experience(learner, index, checkpoint, tombstones)
                snapshot, assessed = made
                snapshot.quality = quality(assessed, flips(answers, assessed.right, index))
                if index == len(self.plan) - 1 and self.ref is not None:  # a search has many trials
                    self._warn_of_classes(index, snapshot.quality.classes)
                if asked:
                    snapshot.capabilities = records(self.stream, before, answer(learner, self.stream, index))
                    snapshot.capabilities_before = None if index else before
                    for lost in (one for one in snapshot.capabilities if one.verdict == "lost"):
                        self._emit(Warned(f"experience {index}: {lost_text(lost)}"))
                answers = assessed.right
                snapshot.previous, snapshot.baseline = previous, baseline
                previous, baseline = [], []
                committer.submit(snapshot)

    def _experience(
        self, learner: Learner, index: int, checkpoint: Checkpoint | None, tombstones: Tombstones
    ) -> tuple[Snapshot, Evaluation]:
        experience = self.stream[index]
        configure(learner, self.pipeline, index)
        bury(learner, tombstones, experience)
        settings = train_settings(self.pipeline, index)
        curve = LossCurve(self.group, index, len(self.stream), self._emit)
        start = 0
        if checkpoint is not None:
            start = checkpoint.step
            resume_from(learner, checkpoint, optimizer=settings.optimizer)
            curve.resume(checkpoint.step, checkpoint.samples, checkpoint.points)
            self._emit(Resumed(index, start))
        timings: dict[str, float] = {}
        before = checkpoint.seconds if checkpoint else 0.0
        clock = time.monotonic() - before

        def lap(part: str, next_stage: str) -> None:
            nonlocal clock
            timings[part] = time.monotonic() - clock
            clock = time.monotonic()
            self._emit(StageStarted(index, next_stage))

        past = [self.stream[i] for i in range(index)]
        noticed = False
        shared = isinstance(learner, ShardedLearner)
        every = self.pipeline.train.at(index).checkpoint_interval if shared or self.group.rank == 0 else None
        kind = ShardedCheckpointer if shared else Checkpointer
        with kind(self.lineage, self.plan[index].id, every, self._emit) as checkpointer:
            checkpointer.begin(learner, start, changed=checkpoint.memories if checkpoint else (), seconds=before)
            for step in learner.steps(experience, settings, past=past, listener=curve, start=start):
                if step == start + 1:  # this experience was read
                    self.stream.read_ahead(index + 1)
                if curve.complete:
                    urgent = self.preempted()
                    if urgent and not noticed:
                        noticed = True
                        self._emit(Warned(NOTICE))
                    checkpointer.offer(learner, step, curve.samples, curve.points, urgent=urgent)
        samples = len(learner.samples)
        lap("learn", "consolidating")
        with warnings.catch_warnings(record=True) as said:
            learner.consolidate()
        for warning in said:
            if issubclass(warning.category, SlowImportance):
                self._emit(Warned(str(warning.message)))
        check_ranks(learner)
        lap("consolidate", "evaluating")
        snapshot, assessed = self._assessed(learner, index, samples, lap)
        snapshot.losses, snapshot.steps, snapshot.timings = curve.points, curve.steps, timings
        return snapshot, assessed

    def _reused(self, learner: Learner, index: int, source: str) -> tuple[Snapshot, Evaluation] | None:
        """The experience as a stored commit learned it; None where that began with another frozen model."""
        configure(learner, self.pipeline, index)
        commit, clock = self.lineage.read(source), time.monotonic()
        if not reuse(learner, self.lineage, commit, index, optimizer=train_settings(self.pipeline, index).optimizer):
            return None
        check_ranks(learner)
        timings: dict[str, float] = {}

        def lap(part: str, next_stage: str) -> None:
            nonlocal clock
            timings[part], clock = time.monotonic() - clock, time.monotonic()
            self._emit(StageStarted(index, next_stage))

        lap(REUSED, "evaluating")
        snapshot, assessed = self._assessed(learner, index, commit.experience.samples, lap)
        snapshot.losses, snapshot.steps, snapshot.timings = commit.losses, commit.steps, timings
        return snapshot, assessed

    def _assessed(
        self, learner: Learner, index: int, samples: int, lap: Callable[[str, str], None]
    ) -> tuple[Snapshot, Evaluation]:
        """What the learner knows after an experience, and its state."""
        chosen = evaluated(self.pipeline.evaluate, index, len(self.stream))
        assessed = learner.assess([self.stream[i] for i in chosen], seen=index + 1)
        lap("evaluate", "committing")
        snapshot = take_snapshot(learner, self.plan[index], self.stream[index], samples)
        snapshot.row, snapshot.answers = self._row(chosen, assessed.counts), packed(assessed.right)
        snapshot.scores = score_records(self.pipeline)
        snapshot.description = describing(self.stream)
        snapshot.task_labels = learner.task_labels(self.stream[index])
        return snapshot, assessed

    def _check_weights(self) -> None:
        """The weights that the model starts from are those that the ids of the commits name."""
        weights, recorded = trained_weights(self.pipeline), self.plan[-1].spec["model"].get("weights")
        if weights is not None and isinstance(recorded, dict) and recorded.get("sha256") != weights.sha256:
            raise PipelineError(
                f"model.weights: {weights.source} has changed since this run began: start it again, to train from what "
                "it is now"
            )

    def _evaluate(self, learner: Learner, indices: Iterable[int]) -> list[TestCount]:
        """The model on the test sets of these experiences."""
        chosen = list(indices)
        return self._row(chosen, learner.evaluate([self.stream[i] for i in chosen]))

    def _row(self, indices: Iterable[int], counts: Iterable[Count]) -> list[TestCount]:
        return [test_count(self.stream, i, count) for i, count in zip(indices, counts, strict=True)]

    def _unknown(self, rows: Iterable[Sequence[TestCount]]) -> list[int]:
        """Experiences whose test sets occur in none of the rows."""
        known = {count.test for row in rows for count in row}
        return [i for i in range(len(self.stream)) if self.stream.test_fingerprint(i) not in known]

    def _missed(self, row: Sequence[TestCount], index: int) -> list[int]:
        """Of the test sets that the model before experience `index` is evaluated on, those that its row lacks."""
        if self.pipeline.evaluate is None:
            return self._unknown([row])
        # The stream was shorter when that model was made.
        return [] if any(count.experience == index for count in row) else [index]

    def _warn_of_classes(self, index: int, classes: Sequence[tuple[int, int, int]]) -> None:
        """Warn where the accuracy of the last experience's model hides that a class is lost."""
        if named_scores(self.pipeline)[0] != ACCURACY:
            return
        present = target_counts(self.stream[index].test, self.stream.outputs).nonzero().flatten()
        text = result_warning(classes, set(present.tolist()), self.stream.unit_names)
        if text is not None:
            self._emit(Warned(text))

    def _emit(self, event: Event) -> None:
        if self.group.rank == 0:
            self.on_event(event)
