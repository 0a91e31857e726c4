"""One step of a stream that never ends: list, admit, train if due, judge. Safe to repeat, and to start twice.

Where nothing is new, nothing is written and the claim is not taken. Otherwise new files are admitted under the claim,
and a run trains the experiences that have no commit yet. A step that was killed is completed by the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.errors import Claimed, OrchestratorError, RunFailed
from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.commit import Commit, commit_id
from orchestrator.lineage.decisions import decision_state
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.past_outline import ancestry
from orchestrator.lineage.plan import influence
from orchestrator.storage.open_by_uri import open_store
from orchestrator.updates.admission import in_quarantine
from orchestrator.updates.admission_entries import FileRecord
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admission_record import State
from orchestrator.updates.admit_files import Admission
from orchestrator.updates.admitted_stream import admitted_stream, files_of, source_of
from orchestrator.updates.decide_update import decide_update
from orchestrator.updates.frozen_holdout import is_current, update_holdout
from orchestrator.updates.judge_latest import judge_latest
from orchestrator.updates.update_log import record_training
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.source_section import SourceSpec

Train = Callable[["Pipeline"], "tuple[int, str]"]
"""Trains the experiences that have no commit yet: how many there were, and the id of the last commit."""


class QuarantineFull(OrchestratorError):
    """More files are in quarantine than `max_quarantined`: nothing is trained until a person has decided."""

    exit_status = 4


@dataclass(frozen=True)
class StepResult:
    """What a step did.

    Attributes:
        pipeline: its name.
        outcome: `nothing-new`; `admitted`: nothing is due to be trained; `waits`: what was admitted is not trained yet,
            by the section `update`; `trained`; `judged`: only that; `busy`: another process holds the claim of the
            pipeline; `stopped`: too many files are in quarantine.
        decided: what was decided of files, by this step.
        quarantined: the files in quarantine that are still there.
        waiting: files that were admitted, are still there, and are in no experience yet.
        unlabelled: rows of these files that have no label yet, where labels come later.
        drift: those of them whose inputs were compared with the last experiences when they were admitted.
        experiences: how many were admitted, ever.
        trained: how many experiences this step trained.
        commit: the id of the last commit, if there is one.
        reads: how many files were read to admit them.
        judged: the verdict on the newest commit, and what followed, where this step judged it.
        update: what the section `update` said, where there is one and something waited: `train`, `rule`, `reason`, and
            where settings were searched `retuned`.
    """

    pipeline: str
    outcome: str
    decided: tuple[FileRecord, ...] = ()
    quarantined: tuple[FileRecord, ...] = ()
    waiting: int = 0
    unlabelled: int = 0
    drift: tuple[FileRecord, ...] = ()
    experiences: int = 0
    trained: int = 0
    commit: str | None = None
    reads: int = 0
    judged: dict[str, Any] | None = field(default=None, compare=False)
    update: dict[str, Any] | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        def files(records: Sequence[FileRecord]) -> list[dict[str, Any]]:
            keys = {"key", "verdict", "kind", "reason", "rows", "sha256"}
            return [record.model_dump(mode="json", include=keys) for record in records]

        return {
            "pipeline": self.pipeline,
            "outcome": self.outcome,
            "decided": files(self.decided),
            "quarantined": files(self.quarantined),
            "waiting": self.waiting,
            "unlabelled": self.unlabelled,
            "drift": [{"waiting": one.key, **one.drift.model_dump()} for one in self.drift if one.drift is not None],
            "experiences": self.experiences,
            "trained": self.trained,
            "commit": self.commit,
            "judged": self.judged,
            "update": self.update,
        }


def run_step(
    pipeline: Pipeline,
    *,
    train: Train | None = None,
    now: float | None = None,
    on_warning: Callable[[str], object] = lambda text: None,
) -> StepResult:
    """One turn.

    Args:
        train: None: `orchestrator.training.driver.run`, which shows nothing.
        now: by which the section `update` decides, in seconds since 1970; None: the clock of this machine.
        on_warning: called with a sentence on what did not work and is no failure, such as a webhook.

    Raises:
        PipelineError: the pipeline has no source; or its settings changed, so that what was learned would have to be
            trained again.
        RunFailed, StorageError, ClusterError: as `run`. What was admitted stays.
    """
    source = source_of(pipeline)
    if source is None:
        raise PipelineError(
            "stream: nothing arrives here: `everlearn step` needs stream.source, or a dataset that is a folder of "
            "files without order, experiences, transform, lanes, test and features. `everlearn run` trains this one"
        )
    lineage = Lineage(open_store(pipeline.storage), pipeline.name)
    try:
        admitted = _admit(pipeline, source, lineage)
        state, found = admitted.state, admitted.summary
        for text in admitted.warnings:
            on_warning(text)
        if admitted.stopped:
            return found("stopped")
        if admitted.blocked or not state.experiences or not _due(pipeline, source, lineage, admitted):
            # A step that was killed may have left a commit that is not accounted for, and not judged yet.
            if pipeline.update is not None and admitted.latest is not None:
                record_training(lineage, admitted.latest, pipeline.scaling.maximum)
            judged = judge_latest(pipeline, lineage, admitted.latest.id, on_warning) if admitted.latest else None
            outcome = "judged" if judged else "admitted" if admitted.decided else "nothing-new"
            return found(outcome, judged=judged)
        update = None
        if pipeline.update is not None:
            update = decide_update(pipeline, source, state, admitted.latest, admitted.trained, lineage, now, on_warning)
            if update is not None and not update["train"]:
                judged = judge_latest(pipeline, lineage, admitted.latest.id, on_warning) if admitted.latest else None
                return found("waits", judged=judged, update=update)
        trained, commit = (train or _run)(pipeline)
        if pipeline.update is not None:
            record_training(lineage, lineage.read(commit), pipeline.scaling.maximum)
    except Claimed:
        return StepResult(pipeline.name, "busy")
    judged = judge_latest(pipeline, lineage, commit, on_warning)
    return found("trained", trained=trained, commit=commit, judged=judged, update=update)


def _run(pipeline: Pipeline) -> tuple[int, str]:
    from orchestrator.training.driver import run

    result = run(pipeline, outlined=True)
    return result.trained, result.lineage[-1]


@dataclass
class _Admitted:
    """What a step admitted, what the log says then, and how many experiences `latest` has learned."""

    pipeline: str
    state: State
    keys: tuple[str, ...]
    decided: tuple[FileRecord, ...] = ()
    stopped: bool = False
    blocked: bool = False
    reads: int = 0
    latest: Commit | None = None
    bad: Collection[str] = ()
    trained: int = 0
    warnings: tuple[str, ...] = ()

    def summary(self, outcome: str, **more: Any) -> StepResult:
        there = set(self.keys)
        waiting = [key for key in self.state.waiting if key in there]
        return StepResult(
            **{
                "pipeline": self.pipeline,
                "outcome": outcome,
                "decided": tuple(self.state.files.get(file.key, file) for file in self.decided),
                "quarantined": tuple(in_quarantine(self.state, self.keys)),
                "waiting": len(waiting),
                "unlabelled": sum(self.state.missing.get(key, 0) for key in waiting),
                "drift": tuple(file for key in waiting if (file := self.state.files[key]).drift is not None),
                "experiences": len(self.state.experiences),
                "commit": self.latest.id if self.latest else None,
                "reads": self.reads,
                **more,
            }
        )


def _admit(pipeline: Pipeline, source: SourceSpec, lineage: Lineage) -> _Admitted:
    """Bring the log up to date with the source."""
    log = AdmissionLog(lineage)
    log.read()
    _refuse_other_classes(source, log.state)
    listing = (files := files_of(pipeline, source)).listing(log.state.files)
    admission = Admission(source, files, listing, pipeline.seed)
    latest, bad = latest_commit(lineage), decision_state(lineage).bad
    trained = trained_experiences(lineage, log.state, latest, bad)
    decision = admission.decide(log, trained)
    decided: list[FileRecord] = []
    holdout = pipeline.gate.holdout.samples if pipeline.gate is not None and pipeline.gate.holdout is not None else None
    if decision or log.behind or (holdout is not None and log.state.experiences and not is_current(log.state, holdout)):
        lineage.store.check()
        with claimed(lineage, "run") as claim:
            held = lineage.fenced(claim.fence)
            seen = log.state.records
            log = AdmissionLog(held)
            log.read()
            if log.state.records != seen:
                # The next offset of a topic depends on what another step has admitted meanwhile.
                listing = files.listing(log.state.files)
                admission = Admission(source, files, listing, pipeline.seed)
            if log.behind:
                log.write_index()
            while True:
                latest, bad = latest_commit(lineage), decision_state(lineage).bad
                trained = trained_experiences(lineage, log.state, latest, bad)
                decision = admission.decide(log, trained)
                before = log.state.records
                if decision:
                    decided += admission.write(held, log, decision)
                if log.state.records == before:
                    break
            if holdout is not None:
                update_holdout(held, log, holdout)
    return _Admitted(
        pipeline.name,
        log.state,
        tuple(found.key for found in listing.files),
        tuple(decided),
        decision.stopped,
        decision.blocked,
        admission.reads,
        latest,
        bad,
        trained,
        listing.warnings,
    )


def latest_commit(lineage: Lineage) -> Commit | None:
    """The commit that `latest` names. Raises StorageError."""
    latest = lineage.ref("latest")
    return None if latest is None else lineage.read(latest.commit)


def trained_experiences(lineage: Lineage, state: State, latest: Commit | None, bad: Collection[str]) -> int:
    """How many of the log's experiences, from the first on, were trained: what was rolled back (`bad`) was, too."""
    if latest is None:
        return 0
    prints = [f"{one.fingerprint}:{one.test_fingerprint}" for one in state.experiences]
    index = latest.experience.index
    if not bad and index < len(prints) and prints[index] == latest.experience.fingerprint:
        return index + 1
    rolled_back = [commit for commit in map(lineage.read_if_there, bad) if commit is not None]
    known = {commit.experience.fingerprint for commit in (*ancestry(lineage, latest.id), *rolled_back)}
    return max((place for place, one in enumerate(prints, start=1) if one in known), default=0)


def _due(pipeline: Pipeline, source: SourceSpec, lineage: Lineage, admitted: _Admitted) -> bool:
    """Whether an experience has no commit yet.

    Raises:
        PipelineError: the settings have changed since the last commit, which would have to be trained again.
    """
    latest, stream = admitted.latest, admitted_stream(pipeline, source, admitted.state)
    if latest is None:
        return True
    bad = admitted.bad
    done = latest.experience.index + 1
    if not bad and done == len(stream):
        # In an idle step nothing may depend on the length of the stream: the parent's id stands for all before it.
        data = f"{stream.fingerprint(done - 1)}:{stream.test_fingerprint(done - 1)}"
        if latest.id == commit_id(parent=latest.parent, fingerprint=data, spec=influence(pipeline, stream, done - 1)):
            return False
    try:
        plan = [planned.id for planned in plan_without_bad(pipeline, stream, lineage)[1]]
    except RunFailed:
        return False  # all that there is was rolled back
    if latest.id in plan:
        return latest.id != plan[-1]
    if bad and not {commit.id for commit in ancestry(lineage, latest.id)}.isdisjoint(bad):
        return True  # the next experience starts from the commit before what was rolled back
    raise PipelineError(
        f"the settings are not those of commit {latest.id[:12]}, which `latest` names: with these, all {done} "
        "experiences would be trained again. Set them back, or see what that costs: everlearn backfill FILE"
    )


def _refuse_other_classes(source: SourceSpec, state: State) -> None:
    """Refuse classes that are not those which the first files, or an earlier file of the pipeline, have fixed."""
    given, contents = source.classes, state.contents
    if given is None or contents is None:
        return
    same = given == contents.classes if isinstance(given, int) else tuple(given) == contents.labels
    if isinstance(given, int) and contents.labels is not None:
        same = False
    if not same:
        known = contents.classes if contents.labels is None else list(contents.labels)
        raise PipelineError(
            f"stream.source.classes: is {given}, but what was admitted has {known}: the "
            "size of the model's head is fixed. Set it back, or train the past again: everlearn backfill FILE"
        )
