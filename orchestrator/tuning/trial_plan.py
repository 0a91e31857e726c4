"""Trials to run, by Ray Tune on a cluster or by processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.trial_streams import Streams

if TYPE_CHECKING:
    from orchestrator.tuning.search_claim import Fences
    from pipelines.config.schema import Pipeline


@dataclass
class Plan:
    """Trials to run.

    Attributes:
        pipelines: what proposals refer to by their place.
        streams: that the trials learn.
        proposals: the trials, unless a searcher proposes them.
        searcher: a Ray Tune searcher that proposes `count` trials.
        scheduler: a Ray Tune scheduler, None: every trial goes to its end.
        objectives: metrics that searcher and scheduler look at.
        resources: of each trial, beside what its pipeline says.
        retries, max_concurrent, time_budget: as in `tune`.
        fences: of the search's claims.
        waiting: called with what is waited for, before the first trial starts.
    """

    pipelines: Sequence[Pipeline]
    streams: Streams
    proposals: Sequence[Proposal] = ()
    searcher: Any = None
    scheduler: Any = None
    count: int = 0
    objectives: Sequence[str] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    retries: int = 0
    max_concurrent: int | None = None
    time_budget: float | None = None
    fences: Fences = field(default_factory=dict)
    waiting: Callable[[str], None] = lambda text: None
