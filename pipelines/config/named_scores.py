"""The scores that a pipeline file names, in `score` and `metrics`, and those that `tune.metric` needs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pipelines.config.components import NotImported, resolve
from pipelines.config.document import KeyPath
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.suggest import did_you_mean
from strategies.metrics import Score, declare, find_metric, find_score, metrics_for
from strategies.metrics.score import value_of

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline


def named_scores(pipeline: Pipeline) -> tuple[Score, ...]:
    """First the score of the matrix, then the further ones, each once; without those whose code is not imported.

    Raises:
        PipelineError: the objective cannot be imported, or offers no such score; never for a pipeline that was loaded.
    """
    objective: Any = resolve("objectives", pipeline.objective.name)
    found: dict[str, Score] = {}
    for name in (pipeline.score or objective.default_score, *(pipeline.metrics or ())):
        with suppress(NotImported):
            score = _score(name, objective)
            found.setdefault(score.name, score)
    return tuple(found.values())


def scores_for(pipeline: Pipeline, unit_names: Sequence[str] | None) -> tuple[Score, ...]:
    """`named_scores`, where the classes that they name are outputs of the model.

    Args:
        unit_names: of the model's outputs; None: they have none.

    Raises:
        PipelineError: a score names a class that is none of them.
    """
    found = []
    for score in named_scores(pipeline):
        try:
            found.append(score.among(unit_names if unit_names is not None else ()))
        except LookupError:
            known = unit_names or ()
            close = did_you_mean(str(score.of_class), list(known))
            hint = f", did you mean '{close}'?" if close else "."
            there = f"The classes are {', '.join(known[:20])}" if known else "The classes have no names: give a number"
            raise PipelineError(f"metrics: {score.name} names no class{hint} {there}") from None
    return tuple(found)


def declare_own_scores(data: Any) -> None:
    """Make the scores of one's own known that a pipeline document names, before `tune.metric` is checked."""
    score, metrics = data.get("score"), data.get("metrics")
    for name in (score, *(metrics if isinstance(metrics, list) else ())):
        if isinstance(name, str) and ":" in name:
            with suppress(PipelineError):  # said with its line by `score_problems`
                declare(resolve("scores", name))


def score_problems(pipeline: Pipeline) -> list[tuple[KeyPath, str]]:
    """What is wrong with `score`, `metrics` and `tune.metric`, with the places in the file.

    The pipeline, whose construction this is a part of, gets what follows from them: `tune.metric` is the average of the
    score, and scores that it names are recorded.
    """
    try:
        objective: Any = resolve("objectives", pipeline.objective.name)
    except PipelineError:
        return []  # said with its line where the objective is checked
    places: list[tuple[KeyPath, str]] = [] if pipeline.score is None else [(("score",), pipeline.score)]
    places += [(("metrics", index), name) for index, name in enumerate(pipeline.metrics or ())]
    problems: list[tuple[KeyPath, str]] = []
    for at, name in places:
        try:
            _score(name, objective)
        except NotImported:
            return []
        except PipelineError as error:
            problems.append((at, str(error)))
    return problems or _tuned(pipeline, objective)


def _tuned(pipeline: Pipeline, objective: Any) -> list[tuple[KeyPath, str]]:
    tune = pipeline.tune
    if tune is None:
        return []
    first = named_scores(pipeline)[0].name
    if "metric" not in tune.model_fields_set and first != "accuracy":
        tune = pipeline.__dict__["tune"] = tune.model_copy(update={"metric": f"average_{first}"})
    problems: list[tuple[KeyPath, str]] = []
    for name in tune.metrics:
        if name in _metric_names(pipeline, objective):
            continue
        score = next((one for part in (name, name.removeprefix("average_")) if (one := find_score(part))), None)
        if score is not None and find_score(score.name, objective.offered()) is not None:
            pipeline.__dict__["metrics"] = [*(pipeline.metrics or ()), score.name]
        if name not in _metric_names(pipeline, objective):
            known = find_metric(name)
            remedy = "name the score that it is of in `score`" if known else "see everlearn list scores"
            problems.append((("tune", "metric"), f"'{name}' is not known of this pipeline: {remedy}"))
    return problems


def _metric_names(pipeline: Pipeline, objective: Any) -> set[str]:
    found = metrics_for(named_scores(pipeline))
    return {metric.name for metric in found if metric.scope != "answers" or objective.targets == "classes"}


def _score(name: str, objective: Any) -> Score:
    if ":" in name:
        own: Score = resolve("scores", name)
        return declare(own)
    score = find_score(name, objective.offered())
    if score is None:
        raise PipelineError(_unknown(name, objective))
    return score


def _unknown(name: str, objective: Any) -> str:
    offered = {score.name: score for score in objective.offered()}
    base, separator, _ = name.partition("@")
    if separator and base in offered:
        keys = ", ".join(f"{base}@{key}={value_of(key)}" for key in offered[base].at) or "no parameter"
        return f"'{name}': {base} takes {keys}"
    close = did_you_mean(name, list(offered))
    hint = f", did you mean '{close}'?" if close else "."
    return (
        f"{objective.name} has no score '{name}'{hint} It has: {', '.join(offered)}; your own by import path, "
        "such as my_module:GINI"
    )
