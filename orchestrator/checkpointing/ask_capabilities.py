"""Capabilities of a chain's models: asked after training, and of stored models that were not asked yet.

Like a score, a capability does not influence what is learned, so that it is no part of a commit's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.lineage.capability_record import AnswersRecord, CapabilityRecord, judged
from orchestrator.lineage.commit import Commit

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream
    from strategies.loop.learner import Learner


def answer(learner: Learner, stream: Stream, newest: int) -> list[AnswersRecord]:
    """What the learner's model answers to the capabilities of a stream; the same on every rank.

    Args:
        newest: index of the experience that was learned last; -1: none was.
    """
    from pipelines.capabilities.score_capability import score_capability

    experiences = list(stream)
    return [AnswersRecord.of(one, score_capability(learner, one, experiences, newest)) for one in stream.capabilities]


def records(stream: Stream, base: Sequence[AnswersRecord], now: Sequence[AnswersRecord]) -> list[CapabilityRecord]:
    """What a commit records; `now` as `answer` gives it, `base` may have more."""
    before = [next(one for one in base if one.answers_to(asked)) for asked in stream.capabilities]
    return judged(before, now, {one.name: one.margin for one in stream.capabilities})


def unasked(stream: Stream, chain: Sequence[Commit]) -> list[int]:
    """Positions of the commits that lack the verdict on a capability of the stream.

    A commit of which `everlearn gc --keep` left only the record has no model that could be asked.
    """
    wanted = {(one.name, one.kind, one.data, one.margin) for one in stream.capabilities}
    held = [{(one.name, one.kind, one.data, one.margin) for one in commit.capabilities or ()} for commit in chain]
    return [place for place, commit in enumerate(chain) if not commit.thinned and wanted - held[place]]


def ask_commits(pipeline: Pipeline, stream: Stream, lineage: Lineage, chain: Sequence[Commit]) -> list[Commit]:
    """Ask the models of the `unasked` commits in this process, and write what they answer; the new chain.

    What a commit has of the same items is not asked again, and nothing is trained.

    Args:
        lineage: under the claim of a run.
        chain: commits of the pipeline from experience 0, oldest first.

    Raises:
        ClaimLost: the claim was taken over.
        StorageError: a commit or its model cannot be read or written.
    """
    from orchestrator.checkpointing.score_commits import new_learner, trained_learner
    from orchestrator.maintenance.rewrite_commit import rewrite

    found, places = list(chain), unasked(stream, chain)
    if not places:
        return found
    base = list(chain[0].capabilities_before or ())
    if any(not any(one.answers_to(asked) for one in base) for asked in stream.capabilities):
        new = answer(new_learner(pipeline, stream), stream, -1)
        base = [*new, *(one for one in base if one.name not in {one.name for one in new})]
        found[0] = rewrite(lineage, found[0].id, partial(Commit.revised, capabilities_before=base))
    for place in places:
        commit = found[place]
        held = list(commit.capabilities or ())
        now: list[AnswersRecord] = [one for asked in stream.capabilities for one in held if one.answers_to(asked)]
        if len(now) < len(stream.capabilities):
            now = answer(trained_learner(pipeline, stream, lineage, commit, place), stream, place)
        made = records(stream, base, now)
        made += [one for one in held if one.name not in {one.name for one in made}]
        found[place] = rewrite(lineage, commit.id, partial(Commit.revised, capabilities=made))
    return found
