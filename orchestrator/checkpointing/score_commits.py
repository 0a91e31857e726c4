"""Scores that a pipeline file names later: stored models are evaluated once more, and their commits hold them then.

A score does not influence what is learned, so that it is no part of a commit's id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from orchestrator.checkpointing.evaluation_record import score_records, test_count
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.measurements import ACCURACY, ACCURACY_RECORD, QualityRecord, TestCount
from pipelines.config.sections.evaluate_section import evaluated

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.loop.evaluation import Count
    from strategies.loop.learner import Learner


def unscored(pipeline: Pipeline, chain: Sequence[Commit]) -> list[int]:
    """Positions of the commits that do not have the pipeline's scores, or whose first score is another one.

    A commit of which `everlearn gc --keep` left only the record has no model that could be evaluated.
    """
    wanted = [record.name for record in score_records(pipeline) or [ACCURACY_RECORD]]
    return [place for place, commit in enumerate(chain) if not commit.thinned and _lacks(commit, wanted)]


def score_commits(pipeline: Pipeline, stream: Stream, lineage: Lineage, chain: Sequence[Commit]) -> list[Commit]:
    """Evaluate the models of the `unscored` commits in this process, and write what they reach; the new chain.

    Args:
        lineage: under the claim of a run.
        chain: commits of the pipeline from experience 0, oldest first.

    Raises:
        ClaimLost: the claim was taken over.
        StorageError: a commit or its model cannot be read or written.
    """
    from orchestrator.maintenance.rewrite_commit import rewrite

    found = list(chain)
    records = score_records(pipeline) or [ACCURACY_RECORD]
    names = {record.name for record in records} - {ACCURACY}
    baseline: dict[int, Count] = {}
    for place in unscored(pipeline, chain):
        commit = found[place]
        held = commit.scores or ()
        changes: dict[str, Any] = {
            "scores": [*records, *(one for one in held if one.name not in {record.name for record in records})]
        }
        if names - {record.name for record in held}:
            if commit.baseline and not baseline:
                baseline = _baseline(pipeline, stream)
            changes |= _evaluated(pipeline, stream, lineage, commit, place)
            changes["baseline"] = _joined(commit.baseline, baseline, stream, missing=False)
        found[place] = rewrite(lineage, commit.id, partial(Commit.revised, **changes))
    return found


def _lacks(commit: Commit, wanted: Sequence[str]) -> bool:
    held = [record.name for record in commit.scores or (ACCURACY_RECORD,)]
    return held[0] != wanted[0] or not {*wanted} - {ACCURACY} <= {*held}


def new_learner(pipeline: Pipeline, stream: Stream) -> Learner:
    """A learner before its first experience, in this process."""
    from pipelines.build import make_learner
    from strategies.loop.process_group import Group

    gpu = pipeline.scaling.gpu and torch.cuda.is_available()
    return make_learner(pipeline, stream, Group(), torch.device("cuda:0" if gpu else "cpu"))


def trained_learner(pipeline: Pipeline, stream: Stream, lineage: Lineage, commit: Commit, place: int) -> Learner:
    """A learner as it was after experience `place`, of which the commit is, in this process."""
    from orchestrator.checkpointing.snapshot import load_commit
    from pipelines.build import configure, train_settings

    learner = new_learner(pipeline, stream)
    configure(learner, pipeline, place)
    load_commit(learner, lineage, commit, optimizer=train_settings(pipeline, place).optimizer)
    return learner


def _baseline(pipeline: Pipeline, stream: Stream) -> dict[int, Count]:
    """The untrained model on every test set."""
    learner = new_learner(pipeline, stream)
    if learner.objective.targets == "numbers":
        learner.objective.begin_samples(stream[0].train, learner.outputs)
    return dict(enumerate(learner.evaluate(list(stream))))


def _evaluated(pipeline: Pipeline, stream: Stream, lineage: Lineage, commit: Commit, place: int) -> dict[str, Any]:
    """The fields of a commit that its model's scores change."""
    learner = trained_learner(pipeline, stream, lineage, commit, place)
    chosen = evaluated(pipeline.evaluate, place, len(stream))
    assessed = learner.assess([stream[index] for index in chosen], seen=place + 1)
    quality = commit.quality or QualityRecord()
    scores = {**(quality.scores or {}), **assessed.scores}
    return {
        "row": _joined(commit.row, dict(zip(chosen, assessed.counts, strict=True)), stream, missing=True),
        "quality": quality.model_copy(update={"scores": scores}),
    }


def _joined(
    counts: Sequence[TestCount], found: Mapping[int, Count], stream: Stream, *, missing: bool
) -> list[TestCount]:
    """`counts` with further scores: what was counted stays, as the record of the right answers belongs to it.

    Args:
        found: by experience of the stream.
        missing: add the test sets that `counts` lacks.
    """
    by_test = {stream.test_fingerprint(index): index for index in found}
    joined = []
    for count in counts:
        own = count.experience if count.experience in found else None
        index = own if own is not None and stream.test_fingerprint(own) == count.test else by_test.get(count.test)
        more = {} if index is None else found[index].scores
        joined.append(count.model_copy(update={"scores": {**(count.scores or {}), **more} or None}))
    known = {(count.experience, count.test) for count in counts}
    new = [index for index in found if missing and (index, stream.test_fingerprint(index)) not in known]
    joined += [test_count(stream, index, found[index]) for index in new]
    return joined
