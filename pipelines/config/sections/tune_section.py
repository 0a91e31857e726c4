"""The `tune` part of a pipeline file: what is searched, in which domains, and for which metric."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, PlainValidator, Tag, model_validator
from pydantic_core import PydanticKnownError

from pipelines.config.components import own_code_is_left_out
from pipelines.config.document import KeyPath
from pipelines.config.exponent_notation import exponent
from pipelines.config.messages import unknown_key
from pipelines.config.sections.section import Count, Positive, Spec, refuse
from strategies.api.influence import NOT_LEARNED
from strategies.metrics import find_metric, metric_names

DomainKind = Literal["uniform", "loguniform", "quniform", "randint", "choice", "grid"]
KINDS: tuple[DomainKind, ...] = get_args(DomainKind)
Mode = Literal["max", "min"]


def _known_metric(value: Any) -> Any:
    names = metric_names()
    if value not in names and (not isinstance(value, str) or not (own_code_is_left_out() or find_metric(value))):
        *first, last = (repr(name) for name in names)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(first)} or {last}"})
    return value


# Not a Literal: the names are those of the records in `strategies.metrics`.
Metric = Annotated[str, BeforeValidator(_known_metric)]


def _how_many(value: Any) -> str:
    return "several" if isinstance(value, list) else "one"


# One or several: the error is then reported once, for the kind that was written.
_Several = Discriminator(_how_many)
Metrics = Annotated[
    Annotated[Metric, Tag("one")] | Annotated[list[Metric], Field(min_length=1), Tag("several")], _Several
]
Modes = Annotated[Annotated[Mode, Tag("one")] | Annotated[list[Mode], Tag("several")], _Several]


class Domain(Spec):
    """The domain in which one setting is searched.

    Attributes:
        kind: uniform [low, high], loguniform [low, high], quniform [low, high, step], randint [low, high) of whole
            numbers, choice [...] one of these, grid [...] each of these.
        values: the numbers or choices.
    """

    kind: Annotated[DomainKind, NOT_LEARNED]
    values: Annotated[list[Any], NOT_LEARNED]

    def probes(self) -> list[tuple[KeyPath, Any]]:
        """Values that must be valid for the whole domain to be valid, each with its position."""
        if self.kind in ("choice", "grid"):
            return [((self.kind, index), value) for index, value in enumerate(self.values)]
        low, high = self.values[:2]
        first: list[tuple[KeyPath, Any]] = [((self.kind, 0), low)]
        if self.kind == "randint":
            return [*first, ((self.kind, 1), high - 1)]
        if self.kind == "quniform":
            return [*first, ((self.kind, 1), high), ((self.kind, 2), low + self.values[2])]
        # A value between the bounds that is not a whole number.
        return [*first, ((self.kind, 1), high), ((self.kind,), low + (high - low) * 0.381966011250105)]


def domain(value: Any) -> Domain:
    """Read `{loguniform: [1, 100000]}`.

    Raises:
        ValueError: it is no such domain; the message says why.
    """
    if isinstance(value, Domain):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"must be one of {', '.join(KINDS)}, such as {{loguniform: [1, 100000]}}")
    ((kind, values),) = value.items()
    if kind not in KINDS:
        raise ValueError(unknown_key(str(kind), list(KINDS)))
    if kind in ("choice", "grid"):
        if not isinstance(values, list) or not values:
            raise ValueError(f"{kind} must list at least one value")
        return Domain(kind=kind, values=values)
    if isinstance(values, list):
        values = [exponent(value) if exponent(value) is not None else value for value in values]
    size = 3 if kind == "quniform" else 2
    if not isinstance(values, list) or len(values) != size or not all(_is_number(number) for number in values):
        form = "[low, high, step]" if size == 3 else "[low, high]"
        raise ValueError(f"{kind} must have the form {form}")
    if kind == "randint" and not all(type(number) is int for number in values):
        raise ValueError("randint must have whole numbers as bounds")
    if values[0] >= values[1]:
        raise ValueError(f"{kind} must have a lower bound below its upper bound")
    if kind == "loguniform" and values[0] <= 0:
        raise ValueError("loguniform must have bounds above 0")
    if kind == "quniform" and not 0 < values[2] <= values[1] - values[0]:
        raise ValueError("quniform must have a step above 0 and not above the distance of its bounds")
    return Domain(kind=kind, values=values)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")


_Domain = Annotated[
    Domain,
    PlainValidator(domain),
    PlainSerializer(lambda value: {value.kind: value.values}, return_type=dict[str, list[Any]]),
]


class TuneSpec(Spec):
    """A search for the best settings; each trial is the whole stream.

    Attributes:
        metric: the objective, after the last experience, by default the average of the score; a list of several gives a
            Pareto front. A score that it names, as in average_auroc, is recorded as if it stood in metrics.
        mode: `max` or `min`, for each metric; by default the direction in which the metric is better.
        trials: how many settings are tried; `search: grid` tries all of them.
        space: domain of each setting by its dotted path (`strategy.ewc.lambda`).
        search: how settings are proposed.
        scheduler: how bad trials are stopped early.
        max_concurrent: trials at the same time, None: as many as fit.
        time_budget: seconds for the whole search.
        seeds: runs for each setting; the objective is their mean.
        validation: share of the training data on which the objective is measured; test sets stay unseen.
        resources: Ray resources of each trial, such as {gpu: 0.25}.
        retries: how often a failed trial is tried again.
    """

    metric: Annotated[Metrics, NOT_LEARNED] = "average_accuracy"
    mode: Annotated[Modes | None, NOT_LEARNED] = None
    trials: Annotated[Count, NOT_LEARNED] = 16
    space: Annotated[dict[str, _Domain], NOT_LEARNED] = Field(min_length=1)
    search: Annotated[Literal["random", "grid", "optuna"], NOT_LEARNED] = "random"
    scheduler: Annotated[Literal["none", "asha", "median", "pbt"], NOT_LEARNED] = "none"
    max_concurrent: Annotated[Count | None, NOT_LEARNED] = None
    time_budget: Annotated[Positive | None, NOT_LEARNED] = None
    seeds: Annotated[Count, NOT_LEARNED] = 1
    validation: Annotated[float, Field(gt=0, lt=1), NOT_LEARNED] = 0.1
    resources: Annotated[dict[str, Annotated[float, Field(ge=0)]], NOT_LEARNED] = Field(default_factory=dict)
    retries: Annotated[int, Field(ge=0), NOT_LEARNED] = 0

    @property
    def metrics(self) -> tuple[str, ...]:
        """The objectives by name; the first one decides where a single objective is needed."""
        return (self.metric,) if isinstance(self.metric, str) else tuple(self.metric)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """`max` or `min` for each of `metrics`."""
        if self.mode is None:
            found = [find_metric(name) for name in self.metrics]
            return tuple("max" if metric is None else metric.mode for metric in found)
        return (self.mode,) * len(self.metrics) if isinstance(self.mode, str) else tuple(self.mode)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems: list[tuple[KeyPath, str]] = []
        if len(set(self.metrics)) < len(self.metrics):
            problems.append((("metric",), "names a metric twice"))
        if isinstance(self.mode, list) and len(self.mode) != len(self.metrics):
            problems.append(
                (("mode",), f"must have one entry for each of the {len(self.metrics)} metrics, or be one word")
            )
        if self.scheduler == "pbt":
            message = "is not supported: its changes of settings in mid-stream have no form in a pipeline file"
            problems.append((("scheduler",), f"pbt {message}; use asha or median"))
        elif self.scheduler != "none" and len(self.metrics) > 1:
            message = f"{self.scheduler} stops trials by one metric: name one, or set scheduler: none"
            problems.append((("scheduler",), message))
        if self.search == "grid":
            for path, where in self.space.items():
                if where.kind not in ("choice", "grid"):
                    message = f"must list its values (grid: [...]) for search: grid, not {where.kind}"
                    problems.append((("space", path), message))
        refuse(problems)
        return self
