"""All metrics: one record each. To add one, add its record here; everything that shows metrics takes it from here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from strategies.metrics.answer_counts import expected_calibration_error, negative_flips
from strategies.metrics.class_scores import balanced_accuracy, macro_f1, worst_recall
from strategies.metrics.metric import Metric, Scope

if TYPE_CHECKING:
    from strategies.metrics.evidence import Values

# NumPy is not imported here, because checking a pipeline file needs the names only.


def _mean(values: Values) -> float:
    return float(values.mean()) if len(values) else math.nan


METRICS: tuple[Metric, ...] = (
    Metric(
        name="average_accuracy",
        unit="fraction",
        better="higher",
        scope="matrix",
        function=lambda e: e.mean(e.row),
        meaning="over the experiences so far",
        definition="mean of R[k, 0..k]",
        source="Lopez-Paz & Ranzato 2017, ACC",
    ),
    Metric(
        name="backward_transfer",
        unit="signed fraction",
        better="higher",
        scope="matrix",
        function=lambda e: e.mean(e.row[:-1] - e.learned[:-1]),
        meaning="change on each by later training",
        definition="mean over j < k of R[k, j] - R[j, j]",
        source="Lopez-Paz & Ranzato 2017, BWT",
    ),
    Metric(
        name="forward_transfer",
        unit="signed fraction",
        better="higher",
        scope="matrix",
        function=lambda e: e.mean(e.ahead - e.untrained),
        meaning="gain on each before its training",
        definition="mean over 1 <= j <= k of R[j-1, j] - b[j]",
        source="Lopez-Paz & Ranzato 2017, FWT",
    ),
    Metric(
        name="forgetting",
        unit="fraction",
        better="lower",
        scope="matrix",
        function=lambda e: e.mean(e.best - e.row[:-1]),
        meaning="loss from the best on each",
        definition="mean over j < k of max over j <= l < k of R[l, j] - R[k, j]; may be negative",
        source="Chaudhry et al. 2018, Riemannian walk",
    ),
    Metric(
        name="learning_accuracy",
        unit="fraction",
        better="higher",
        scope="matrix",
        function=lambda e: e.mean(e.learned),
        meaning="right after training on each",
        definition="mean over j <= k of R[j, j]",
        source="Riemer et al. 2019",
    ),
    Metric(
        name="average_incremental_accuracy",
        unit="fraction",
        better="higher",
        scope="matrix",
        function=lambda e: e.mean(e.averages),
        meaning="mean of the average accuracy so far",
        definition="mean over i <= k of the average accuracy after experience i",
        source="Rebuffi et al. 2017",
    ),
    Metric(
        name="worst_accuracy",
        unit="fraction",
        better="higher",
        scope="matrix",
        function=lambda e: e.lowest(e.row),
        meaning="on the experience that is worst now",
        definition="minimum of R[k, 0..k]",
        source="Sagawa et al. 2020, worst-group accuracy, each experience a group",
    ),
    Metric(
        name="intransigence",
        unit="fraction",
        better="lower",
        scope="reference",
        function=lambda e: _mean(e.reference - e.learned),
        meaning="not learned, against joint training",
        definition=(
            "mean over j <= k of a*[j] - R[j, j], where the store has joint training (`cumulative`) on 0..j, "
            "which reaches a*[j]; may be negative"
        ),
        source="Chaudhry et al. 2018, Riemannian walk, I_k, averaged",
    ),
    Metric(
        name="negative_flips",
        unit="fraction",
        better="lower",
        scope="answers",
        function=lambda e: negative_flips(e.flips, e.totals),
        meaning="right before the training, wrong now",
        definition="mean over j < k of the share of test samples that were right after k-1 and are wrong after k",
        source="Yan et al. 2021, negative flip rate",
    ),
    Metric(
        name="balanced_accuracy",
        unit="fraction",
        better="higher",
        scope="answers",
        function=lambda e: balanced_accuracy(e.classes),
        meaning="every class counts the same",
        definition="mean over the classes in the test sets of 0..k, taken together, of their recall",
        source="Brodersen et al. 2010",
    ),
    Metric(
        name="macro_f1",
        unit="fraction",
        better="higher",
        scope="answers",
        function=lambda e: macro_f1(e.classes, e.confusion),
        meaning="mean F1 of the classes",
        definition="mean over the classes in, or predicted for, the test sets of 0..k of 2 TP / (2 TP + FP + FN)",
        source="Opitz & Burst 2019, equation 2; heads of at most 256 units",
    ),
    Metric(
        name="worst_recall",
        unit="fraction",
        better="higher",
        scope="answers",
        function=lambda e: worst_recall(e.classes),
        meaning="of the class that is worst now",
        definition="minimum over the classes in the test sets of 0..k, taken together, of their recall",
        source="Sagawa et al. 2020, worst-group accuracy, each class a group",
    ),
    Metric(
        name="expected_calibration_error",
        unit="fraction",
        better="lower",
        scope="answers",
        function=lambda e: expected_calibration_error(e.bins),
        meaning="between confidence and accuracy",
        definition="sum over 15 bins of the confidence of their share of the samples times abs(accuracy - confidence)",
        source="Guo et al. 2017, equation 3",
    ),
    Metric(
        name="model_parameters",
        unit="count",
        better="lower",
        scope="cost",
        function=lambda e: e.parameters,
        meaning="of the model",
        definition="parameters of the model after k",
        source="counted",
    ),
    Metric(
        name="model_bytes",
        unit="bytes",
        better="lower",
        scope="cost",
        function=lambda e: e.model_bytes,
        meaning="of the model",
        definition="bytes of the model's parameters and buffers after k",
        source="counted",
    ),
    Metric(
        name="memory_bytes",
        unit="bytes",
        better="lower",
        scope="cost",
        function=lambda e: e.memory_bytes,
        meaning="of rehearsal memories",
        definition="bytes of all rehearsal memories after k",
        source="counted",
    ),
    Metric(
        name="training_seconds",
        unit="seconds",
        better="lower",
        scope="cost",
        function=lambda e: e.seconds,
        meaning="of the last experience",
        definition="seconds of training on k and of what the strategies do at its end",
        source="measured",
    ),
)


def all_metrics(*scopes: Scope) -> tuple[Metric, ...]:
    """All metrics in the order in which they are shown; with arguments, the metrics of these scopes."""
    return tuple(one for one in METRICS if not scopes or one.scope in scopes)


def metric_names(*scopes: Scope) -> tuple[str, ...]:
    """The names of `all_metrics`."""
    return tuple(one.name for one in all_metrics(*scopes))


def find_metric(name: str) -> Metric | None:
    """The metric of this name; None: there is none, for example for a record that another version wrote."""
    return next((one for one in METRICS if one.name == name), None)
