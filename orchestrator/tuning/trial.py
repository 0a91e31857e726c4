"""What runs in a trial: the whole stream, once for each seed, with a report after every experience."""

from __future__ import annotations

import json
import sys
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import ray
import torch
from ray import tune

from orchestrator.cluster.log_levels import quiet
from orchestrator.events import CommitWritten, Event
from orchestrator.lineage.commit import Commit
from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.train_trial import Job, train
from orchestrator.tuning.trial_failure import final, reason
from orchestrator.tuning.trial_state import TrialState
from pipelines.config.load import load_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.tuning.search_claim import Fences
    from orchestrator.tuning.trial_resources import Needs
    from orchestrator.tuning.trial_streams import Streams
    from pipelines.config.schema import Pipeline


@dataclass(frozen=True)
class TrialContext:
    """What the trials of a search share.

    Attributes:
        documents: pipelines as YAML, without `tune`; a proposal names one of them by its place.
        streams: that they learn.
        claims: a `Claims` actor.
        objectives: metrics that a scheduler or a searcher looks at.
        stepwise: a scheduler decides after each experience whether to continue.
        retries: how often a trial that fails is tried again.
        needs: what a trial takes of the cluster, for each document.
        search_path: where the user's modules are found.
        fences: of the search's claims.
    """

    documents: Sequence[str]
    streams: Streams
    claims: Any
    objectives: Sequence[str]
    stepwise: bool
    retries: int
    needs: Sequence[Needs]
    search_path: Sequence[str]
    fences: Fences = field(default_factory=dict)


def run_trial(config: dict[str, str], context: TrialContext) -> None:
    """The function that Ray Tune calls for a trial."""
    quiet()
    sys.path.extend(path for path in context.search_path if path not in sys.path)
    proposal = Proposal.of(config)
    torch.set_num_threads(context.needs[proposal.document].threads)
    count = _Count()
    for attempt in range(context.retries + 1):
        try:
            _Trial(proposal, context, count).run()
            return
        except Exception as error:
            if attempt == context.retries:
                # Reported as a result: when a trial fails for Ray, its process ends, and the next trial waits seconds
                # for another process.
                failed = {"error": reason(error), "final": final(error)}
                tune.report({"failed": json.dumps({**failed, "trained": count.trained, "reused": count.reused})})
        finally:
            ray.get(context.claims.release.remote(str(proposal.number)))
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


@lru_cache(maxsize=8)
def _base(document: str) -> Pipeline:
    return load_text(document, "trial")


@dataclass
class _Count:
    """Experiences of a trial over all attempts at it: those that it trained, and those that it found."""

    trained: int = 0
    reused: int = 0


class _Trial:
    def __init__(self, proposal: Proposal, context: TrialContext, count: _Count) -> None:
        self._claims, self._holder = context.claims, str(proposal.number)
        self._objectives, self._stepwise = context.objectives, context.stepwise
        self._needs = context.needs[proposal.document]
        pipelines = proposal.pipelines(_base(context.documents[proposal.document]))
        self._jobs = [Job.of(pipeline, context.streams.of(pipeline), context.fences) for pipeline in pipelines]
        self._standing = TrialState(self._jobs)
        self._chains: list[list[Commit]] = [[] for _ in self._jobs]
        self._written: deque[tuple[int, Commit]] = deque()
        self._reported = 0
        self._count = count

    def run(self) -> None:
        length = len(self._jobs[0].plan)
        alone = self._needs.workers == 1
        # Starting workers for every experience would cost more than what a scheduler's decision saves.
        for until in range(1, length + 1) if self._stepwise and alone else [length]:
            for number in range(len(self._jobs)):
                self._advance(number, until)

    def _advance(self, number: int, until: int) -> None:
        """Return when all commits of a job before experience `until` exist, made by this trial or by another."""
        job, chain = self._jobs[number], self._chains[number]
        while True:
            chain.extend(job.lineage.leading(job.ids[:until], chain)[len(chain) :])
            self._count.reused = sum(map(len, self._chains)) - self._count.trained
            self._report()
            missing = job.ids[len(chain) : until]
            if not missing:
                return
            scope = f"{job.pipeline.storage} {job.pipeline.name} "
            if ray.get(self._claims.take.remote([scope + commit for commit in missing], self._holder)):
                train(job, until, self._needs, partial(self._on_event, number, scope))
                self._take_commits()

    def _on_event(self, number: int, scope: str, event: Event) -> None:
        if isinstance(event, CommitWritten):
            # In the thread that writes commits: it must not be held up.
            commit = Commit.model_validate(event.commit, strict=False)
            self._claims.made.remote(scope + commit.id)
            self._count.trained += 1
            self._written.append((number, commit))
        else:
            self._take_commits()

    def _take_commits(self) -> None:
        while self._written:
            number, commit = self._written.popleft()
            self._chains[number].append(commit)
        self._report()

    def _report(self) -> None:
        """Report the experiences that all seeds have finished."""
        while self._reported < min(len(chain) for chain in self._chains):
            end = self._reported + 1
            state = self._standing.after(self._chains, end)
            record = {**state, "trained": self._count.trained, "reused": self._count.reused}
            self._reported = end
            # A metric that needs two experiences is the same for all after one.
            objectives = {name: state["metrics"].get(name) or 0.0 for name in self._objectives}
            complete = end == len(self._jobs[0].plan)
            tune.report({**objectives, "complete": complete, "record": json.dumps(record)})
