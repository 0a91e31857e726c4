"""All scores: one record each. To add one, add its record here; every list of scores derives from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from strategies.metrics.multi_label_scores import hamming_loss, micro_f1, subset_accuracy
from strategies.metrics.regression_scores import mean_absolute_error, quantile_loss, r2, root_mean_squared_error
from strategies.metrics.score import CLASS, Score
from strategies.metrics.token_scores import negative_log_perplexity, perplexity, token_accuracy


class _Functions:
    """The functions of a module, which is imported with NumPy when one of them is called."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., float]:
        def compute(*arguments: Any) -> float:
            return float(getattr(import_module(self._module), name)(*arguments))

        return compute


decisions = _Functions("strategies.metrics.class_decisions")
probability = _Functions("strategies.metrics.probability_scores")
ranking = _Functions("strategies.metrics.ranking_scores")

ACCURACY = Score(
    name="accuracy",
    meaning="share of the samples classified right",
    definition="correct samples / samples",
    source="counted",
    objectives=("classification",),
)

_CLASSES, _MULTI_LABEL, _REGRESSION = ("classification",), ("multi-label",), ("regression",)
_TOKENS = ("next-token",)
_BOTH = (*_CLASSES, *_MULTI_LABEL)

SCORES: tuple[Score, ...] = (
    ACCURACY,
    Score(
        name="balanced_accuracy",
        function=decisions.balanced_accuracy,
        meaning="every class counts the same",
        definition="mean over the classes of the test set of their recall",
        source="Brodersen et al. 2010",
        objectives=_CLASSES,
    ),
    Score(
        name="macro_f1",
        function=decisions.macro_f1,
        meaning="mean F1 of the classes or labels",
        definition="mean over the classes that occur or are predicted of 2 TP / (2 TP + FP + FN)",
        source="Opitz & Burst 2019, equation 2",
        objectives=_BOTH,
    ),
    Score(
        name="f1",
        function=decisions.f1,
        meaning="F1 of class 1 of two; of more, the mean",
        definition="2 TP / (2 TP + FP + FN)",
        source="as in scikit-learn",
        objectives=_BOTH,
        at={"class": decisions.f1_of, "threshold": decisions.f1_above},
    ),
    Score(
        name="precision",
        function=decisions.precision,
        meaning="share of the predicted that are right",
        definition="TP / (TP + FP), 0 where nothing is predicted; of class 1 of two, of more the mean",
        source="as in scikit-learn",
        objectives=_BOTH,
        at={
            "class": decisions.precision_of,
            "threshold": decisions.precision_above,
            "recall": ranking.precision_at_recall,
        },
    ),
    Score(
        name="recall",
        function=decisions.recall,
        meaning="share of the class that is found",
        definition="TP / (TP + FN); of class 1 of two, of more the mean",
        source="as in scikit-learn",
        objectives=_BOTH,
        at={
            "class": decisions.recall_of,
            "threshold": decisions.recall_above,
            "precision": ranking.recall_at_precision,
        },
    ),
    Score(
        name="auroc",
        function=ranking.auroc,
        meaning="area under the ROC curve",
        definition=(
            "share of the pairs of a sample of the class and another that are in order, ties are half; "
            "of class 1 of two, of more the mean"
        ),
        source="Hanley & McNeil 1982",
        objectives=_BOTH,
        at={"class": ranking.auroc_of},
    ),
    Score(
        name="average_precision",
        function=ranking.average_precision,
        meaning="area under the precision-recall curve",
        definition=(
            "sum over the thresholds of the gain in recall times the precision; of class 1 of two, of more the mean"
        ),
        source="as in scikit-learn",
        objectives=_BOTH,
        at={"class": ranking.average_precision_of},
    ),
    Score(
        name="log_loss",
        unit="number",
        better="lower",
        function=probability.log_loss,
        meaning="-log probability of the true class",
        definition="mean of -log p of the right class",
        source="as in scikit-learn",
        objectives=_CLASSES,
        probabilities=True,
    ),
    Score(
        name="brier",
        unit="number",
        better="lower",
        function=probability.brier,
        meaning="squared error of the probabilities",
        definition="mean of the squared errors of the probabilities summed over the classes, half of it for two",
        source="Brier 1950",
        objectives=_CLASSES,
        probabilities=True,
    ),
    Score(
        name="expected_calibration_error",
        better="lower",
        function=probability.expected_calibration_error,
        meaning="between confidence and accuracy",
        definition="sum over 15 bins of the confidence of their share of the samples times abs(accuracy - confidence)",
        source="Guo et al. 2017, equation 3",
        objectives=_CLASSES,
        probabilities=True,
    ),
    Score(
        name="micro_f1",
        function=micro_f1,
        meaning="F1 of all labels of all samples",
        definition="2 TP / (2 TP + FP + FN), counted over all labels",
        source="as in scikit-learn, average='micro'",
        objectives=_MULTI_LABEL,
    ),
    Score(
        name="subset_accuracy",
        function=subset_accuracy,
        meaning="samples all of whose labels are right",
        definition="share of the samples all of whose labels are right",
        source="as in scikit-learn",
        objectives=_MULTI_LABEL,
    ),
    Score(
        name="hamming_loss",
        better="lower",
        function=hamming_loss,
        meaning="share of the labels that are wrong",
        definition="wrong labels / labels of all samples",
        source="as in scikit-learn",
        objectives=_MULTI_LABEL,
    ),
    Score(
        name="mae",
        unit="number",
        better="lower",
        function=mean_absolute_error,
        meaning="mean absolute error, in the target's unit",
        definition="mean of abs(prediction - target)",
        source="as in scikit-learn; of several targets the mean",
        objectives=_REGRESSION,
    ),
    Score(
        name="rmse",
        unit="number",
        better="lower",
        function=root_mean_squared_error,
        meaning="root mean squared error, in the target's unit",
        definition="square root of the mean of (prediction - target)^2",
        source="as in scikit-learn; of several targets the mean",
        objectives=_REGRESSION,
    ),
    Score(
        name="r2",
        unit="number",
        function=r2,
        meaning="share of the target's variance that is explained",
        definition="1 - sum of squared errors / sum of squared deviations from the mean of the test set",
        source="as in scikit-learn; of several targets the mean",
        objectives=_REGRESSION,
    ),
    Score(
        name="quantile_loss",
        unit="number",
        better="lower",
        function=partial(quantile_loss, 0.5),
        meaning="pinball loss; @quantile=Q, or 0.5",
        definition="mean of max(Q e, (Q - 1) e), e = target - prediction",
        source="Koenker & Bassett 1978",
        objectives=_REGRESSION,
        at={"quantile": quantile_loss},
    ),
    Score(
        name="negative_log_perplexity",
        unit="number",
        function=negative_log_perplexity,
        meaning="mean log-likelihood of a token",
        definition="log-likelihood of all tokens / tokens, natural logarithm",
        source="Jelinek et al. 1977, as a logarithm",
        objectives=_TOKENS,
    ),
    Score(
        name="perplexity",
        unit="number",
        better="lower",
        function=perplexity,
        meaning="exponential of the mean loss of a token",
        definition="exp(-log-likelihood of all tokens / tokens)",
        source="Jelinek et al. 1977",
        objectives=_TOKENS,
    ),
    Score(
        name="token_accuracy",
        function=token_accuracy,
        meaning="share of the tokens predicted right",
        definition="tokens with the highest probability / tokens",
        source="counted",
        objectives=_TOKENS,
    ),
)

# Scores that are no records here: of own objectives and functions, and of commits that name them.
_declared: dict[str, Score] = {}


def all_scores(objective: str | None = None) -> tuple[Score, ...]:
    """The built-in scores, in the order in which they are listed; those of one objective."""
    return tuple(one for one in SCORES if objective is None or objective in one.objectives)


def declare(score: Score) -> Score:
    """Make a score known to `find_score`, for what only has its name; a built-in one of the same name stays."""
    return _declared.setdefault(score.name, score) if _built_in(score.name) is None else score


def find_score(name: str, offered: Iterable[Score] | None = None) -> Score | None:
    """The score of a name, `NAME` or `NAME@PARAMETER=VALUE`; None: there is none.

    One whose parameter is a class by its name is not defined for any samples before `Score.among`.

    Args:
        offered: the scores that are looked through; None: all that are known.
    """
    if offered is not None:
        return _find(name, tuple(offered))
    return _built_in(name) or _declared.get(name)


def _built_in(name: str) -> Score | None:
    return _find(name, SCORES)


def _find(name: str, among: Iterable[Score]) -> Score | None:
    base, separator, parameter = name.partition("@")
    found = next((one for one in among if one.name == base), None)
    if found is None or not separator:
        return found
    key, _, written = parameter.partition("=")
    if key not in found.at or not written:
        return None
    try:
        value = float(written)
    except ValueError:
        return found.with_parameter(key, math.nan, written) if key == CLASS else None
    if not math.isfinite(value) and key != CLASS:
        return None
    return found.with_parameter(key, value, written)
