"""A search over the section `tune` in the middle of a stream, from the newest model, over untrained experiences.

Each trial trains the experiences that wait, from the newest commit on, with other settings, and without the samples
that are held out of them for validation. So the cost depends on the new experiences alone. The present settings are
tried, too, and are kept unless others are better.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.lineage.bad_commits import plan_without_bad
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.updates.admission_entries import SettingsRecord
from orchestrator.updates.admission_log import AdmissionLog
from orchestrator.updates.admission_record import State
from orchestrator.updates.admitted_stream import admitted_stream

if TYPE_CHECKING:
    from orchestrator.tuning.search_space import Settings
    from orchestrator.updates.training_due import Due
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.source_section import SourceSpec
    from pipelines.config.sections.tune_section import TuneSpec


@dataclass
class Retuning:
    """What a search has found.

    Attributes:
        settings: the best, by path; None: the present ones.
        trials: number, settings, value of the metric and seconds of each, in order; the first are the present settings.
        seconds: of work, over all workers.
        reason: a sentence for a person.
    """

    settings: Settings | None = None
    trials: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    reason: str = ""


def retune(
    pipeline: Pipeline, source: SourceSpec, state: State, waiting: int, due: Due, lineage: Lineage
) -> tuple[Retuning, State]:
    """Search, and write the best settings into the admission log. `update.retune` and `tune` are in the pipeline.

    Args:
        state: of the log.
        waiting: how many of its last experiences are not trained.
        due: how many settings may be tried, and how many seconds of work that may take.

    Returns:
        What was found, and the log with it.

    Raises:
        Claimed: another process is working on the pipeline.
        StorageError: the storage cannot be used.
    """
    since = state.experiences[-waiting].serial
    with claimed(lineage, "run") as claim:
        held = lineage.fenced(claim.fence)
        found = _search(pipeline, source, state, waiting, due, held)
        if found.settings is not None:
            log = AdmissionLog(held)
            if log.read() != state:
                found.settings, found.reason = None, "files were admitted meanwhile: the present settings are kept"
                return found, log.state
            state = log.append(settings=SettingsRecord(since=since, values=found.settings))
    return found, state


def _search(pipeline: Pipeline, source: SourceSpec, state: State, waiting: int, due: Due, lineage: Lineage) -> Retuning:
    from orchestrator.tuning.trial_score import best

    assert pipeline.tune is not None
    tune = pipeline.tune
    metric, mode = tune.metrics[0], tune.modes[0]
    found = Retuning()
    values: dict[int, dict[str, float | None]] = {}
    since = state.experiences[-waiting].serial
    for number, settings in enumerate(_proposals(tune, pipeline.seed + since, due.retune)):
        spent = found.seconds / number if number else 0.0
        if due.budget is not None and found.seconds + 2 * spent > due.budget:
            break  # one more trial, and the training, would exceed it
        began = time.monotonic()
        record = () if settings is None else (SettingsRecord(since=since, values=settings),)
        tried = state.model_copy(update={"settings": (*state.settings, *record)})
        value, problem = _trial(pipeline, source, tried, waiting, lineage, metric)
        seconds = (time.monotonic() - began) * pipeline.scaling.maximum
        found.seconds += seconds
        values[number] = {metric: value}
        trial = {"number": number, "settings": settings, metric: value, "seconds": round(seconds, 3)}
        found.trials.append(trial | ({"problem": problem} if problem else {}))
    chosen = best(values, metric, mode)
    if not chosen:
        found.reason = f"none of {max(0, len(found.trials) - 1)} other settings has a better {metric}: nothing changes"
        return found
    found.settings = found.trials[chosen]["settings"]
    found.reason = f"{metric} {values[0][metric]} with the present settings, {values[chosen][metric]} with the best"
    return found


def _trial(
    pipeline: Pipeline, source: SourceSpec, state: State, waiting: int, lineage: Lineage, metric: str
) -> tuple[float | None, str]:
    """The metric after what waits was trained with the settings of this log; None, and why, where that fails."""
    from orchestrator.tuning.train_trial import Job, train
    from orchestrator.tuning.trial_resources import needs
    from orchestrator.tuning.trial_score import chain_metrics
    from pipelines.data.validation_split import hold_out
    from strategies.api.strategy_errors import NonFiniteLoss

    assert pipeline.tune is not None
    whole = plan_without_bad(pipeline, admitted_stream(pipeline, source, state), lineage)[0]
    split = hold_out(whole, pipeline.tune.validation, pipeline.seed, since=len(whole) - waiting)
    plain = pipeline.model_copy(update={"tune": None, "update": None})
    job = Job.at(plain, split, lineage)
    try:
        train(job, len(job.ids), needs(plain.scaling, {}), lambda event: None)
    except NonFiniteLoss as error:
        return None, str(error)
    chain = lineage.leading(job.ids)
    return chain_metrics(chain, job.tests, lambda chain: [None] * len(chain)).get(metric), ""


def _proposals(tune: TuneSpec, seed: int, trials: int) -> list[Settings | None]:
    """The present settings (None), and so many others."""
    from itertools import islice

    from orchestrator.tuning.search_space import grid, random_settings

    listed = (
        grid(tune.space)[:trials] if tune.search == "grid" else list(islice(random_settings(tune.space, seed), trials))
    )
    return [None, *listed]
