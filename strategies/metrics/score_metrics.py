"""The metrics of a stream over any score: those of the accuracy, with the score's name, unit and direction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from strategies.metrics import metric_registry
from strategies.metrics.metric import Better, Metric, Unit
from strategies.metrics.score import Score
from strategies.metrics.score_registry import ACCURACY, find_score

if TYPE_CHECKING:
    from strategies.metrics.evidence import Evidence
    from strategies.metrics.score import ScoreUnit

_OVER_SCORES = ("matrix", "reference")
_NUMBERS: dict[Unit, Unit] = {"fraction": "number", "signed fraction": "signed number"}
# Of the metrics of the matrix, the one by whose name a set of metrics tells its score.
_TELLING = "average_incremental_"


class Named(Protocol):
    """What is needed of a score: a `Score`, or the record of one in a commit."""

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> ScoreUnit: ...

    @property
    def better(self) -> Better: ...


def metrics_for(scores: Sequence[Named] = ()) -> tuple[Metric, ...]:
    """The metrics of a stream, in the order in which they are shown.

    Args:
        scores: first the score of the matrix, then further ones; empty: accuracy.
    """
    first = scores[0] if scores else ACCURACY
    found = [_over(first, metric) for metric in metric_registry.METRICS]
    names = {metric.name for metric in found}
    further = [_joint(score) for score in scores if score.name != ACCURACY.name]
    further += [_average(score) for score in scores[1:] if score.name != ACCURACY.name]
    for score in scores[1:]:
        if score.name == ACCURACY.name:
            further += [_over(score, metric) for metric in metric_registry.METRICS if metric.name == "average_accuracy"]
    costs = [place for place, metric in enumerate(found) if metric.scope == "cost"]
    where = costs[0] if costs else len(found)
    return (*found[:where], *(metric for metric in further if metric.name not in names), *found[where:])


def score_in(names: Iterable[str]) -> Score:
    """The score of the matrix that metrics of these names, which are those of one stream, follow from."""
    score = next((name.removeprefix(_TELLING) for name in names if name.startswith(_TELLING)), ACCURACY.name)
    return find_score(score) or Score(score, unit="number")


def metrics_in(names: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics of these names, which are those of one stream, in the same order; unknown names are left out."""
    listed = list(names)
    base = {metric.name: metric for metric in metrics_for([score_in(listed)])}
    known = (base.get(name) or find_metric(name) for name in listed)
    return tuple(metric for metric in known if metric is not None)


def find_metric(name: str) -> Metric | None:
    """The metric of this name; None: there is none, for example for a record that another version wrote.

    Names of transfer and forgetting do not say of which score: they are those of the accuracy.
    """
    found = metric_registry.find_metric(name)
    if found is not None:
        return found
    score = find_score(name)
    if score is not None and score.name != ACCURACY.name:
        return _joint(score)
    for metric in metric_registry.METRICS:
        head, word, tail = metric.name.partition(ACCURACY.name)
        if metric.scope == "matrix" and word and not tail and name.startswith(head):
            score = find_score(name.removeprefix(head))
            if score is not None:
                return _over(score, metric)
    return None


def _over(score: Named, metric: Metric) -> Metric:
    """The metric of the accuracy matrix, of another score's matrix."""
    if score.name == ACCURACY.name or metric.scope not in _OVER_SCORES:
        return metric
    unit = metric.unit if score.unit == "fraction" else _NUMBERS.get(metric.unit, metric.unit)
    if ACCURACY.name not in metric.name:  # a difference, which is positive where it was for the accuracy
        return replace(metric, unit=unit)
    function = metric.function if score.better == "higher" else partial(_negative, metric)
    return replace(
        metric,
        name=metric.name.replace(ACCURACY.name, score.name),
        unit=unit,
        better=score.better,
        function=function,
        meaning=metric.meaning.replace("accuracy", "score"),
        definition=metric.definition.replace("accuracy", score.name.replace("_", " ")),
    )


def _negative(metric: Metric, evidence: Evidence) -> float:
    return -metric.function(evidence)


def _joint(score: Named) -> Metric:
    return Metric(
        name=score.name,
        unit=score.unit,
        better=score.better,
        scope="scores",
        function=lambda evidence: evidence.scores.get(score.name, math.nan),
        meaning="all test sets so far together",
        definition=f"{score.name.replace('_', ' ')} of the test sets of 0..k, taken together",
        source="see the scores",
    )


def _average(score: Named) -> Metric:
    return replace(
        _joint(score),
        name=f"average_{score.name}",
        function=lambda evidence: _mean_of_known(evidence.each.get(score.name, ())),
        meaning="over the experiences so far",
        definition=f"mean over the test sets of 0..k in which it is defined of {score.name.replace('_', ' ')}",
    )


def _mean_of_known(values: Iterable[float]) -> float:
    known = [float(value) for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
