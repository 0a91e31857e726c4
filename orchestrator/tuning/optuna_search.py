"""Optuna's proposals (TPE), kept so that a stopped search resumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial
from ray.tune.search.optuna import OptunaSearch

from orchestrator.tuning.proposal import Proposal
from orchestrator.tuning.search_space import distributions, from_optuna, to_optuna

if TYPE_CHECKING:
    from orchestrator.tuning.search_space import Settings, Space
    from orchestrator.tuning.trial_record import TrialRecord


class KeptOptunaSearch(OptunaSearch):  # type: ignore[misc]
    """Ray's Optuna searcher over a pipeline's space, which knows the trials of earlier invocations.

    A trial that was stopped early counts as pruned: its last metric is that of a shorter stream, and no trial's end.

    Args:
        space: the searched settings.
        metrics, modes: the objectives; several give a Pareto front.
        seed: of the sampler.
        past: trials that are over.
        again: trials that were proposed, and are not over: proposed again, before any new one.
        seeds: of every trial.
        propose: called with the number and the settings of each proposal.
    """

    def __init__(
        self,
        space: Space,
        metrics: Sequence[str],
        modes: Sequence[str],
        *,
        seed: int,
        past: Sequence[TrialRecord],
        again: Sequence[TrialRecord],
        seeds: Sequence[int],
        propose: Callable[[int, Settings], None],
    ) -> None:
        names = list(metrics) if len(metrics) > 1 else metrics[0]
        wanted = list(modes) if len(modes) > 1 else modes[0]
        drawn = distributions(space)
        # TPE starts with random trials: a later invocation starts with others than an earlier one.
        sampler = TPESampler(seed=(seed + len(past) + len(again)) % 2**32)
        # It logs every study that it makes.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        super().__init__(drawn, metric=names, mode=wanted, sampler=sampler)
        self._everlearn_space, self._metrics, self._seeds, self._propose = space, list(metrics), list(seeds), propose
        self._again = list(again)
        self._next = 1 + max((record.number for record in [*past, *again]), default=-1)
        for record in past:
            complete = record.state == "done"
            values = [record.metrics.get(name) for name in metrics]
            if complete and all(value is not None and math.isfinite(value) for value in values):
                point = to_optuna(space, record.settings)
                self._ot_study.add_trial(
                    create_trial(state=TrialState.COMPLETE, values=values, params=point, distributions=drawn)
                )

    def save(self, checkpoint_path: str) -> None:
        """Ray saves its searchers beside its own results. Nothing is resumed from them."""
        Path(checkpoint_path).touch()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """The next proposal as Ray Tune's configuration."""
        if self._again:
            record = self._again.pop(0)
            self._ot_study.enqueue_trial(to_optuna(self._everlearn_space, record.settings))
            super().suggest(trial_id)
            number, settings = record.number, dict(record.settings)
        else:
            settings = from_optuna(self._everlearn_space, super().suggest(trial_id))
            number, self._next = self._next, self._next + 1
        self._propose(number, settings)
        return Proposal(number, settings, self._seeds).to_config()

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Metrics before the end of the stream are for the scheduler; Optuna does not get them."""

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Report to Optuna whether a trial reached the end of the stream."""
        if trial_id not in self._ot_trials:
            return
        whole = result is not None and result.get("complete") and all(name in result for name in self._metrics)
        if not whole and len(self._metrics) > 1:
            # Ray's class makes a list of Nones of it.
            self._ot_study.tell(self._ot_trials[trial_id], state=TrialState.FAIL if error else TrialState.PRUNED)
            self._completed_trials.add(trial_id)
            return
        super().on_trial_complete(trial_id, dict(result) if whole and result is not None else None, error)
