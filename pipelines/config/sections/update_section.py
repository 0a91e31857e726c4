"""The `update` part of a pipeline file: when what has arrived is trained, and when settings are searched again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from pipelines.config.document import KeyPath
from pipelines.config.sections.section import Count, Positive, Spec
from pipelines.config.sections.source_section import SUFFIXES, Duration, Lasting
from pipelines.config.sections.stream_section import StreamSpec
from strategies.api.influence import NOT_LEARNED

_FORMS = "must be any, drift, {rows: 10000} or {every: 1d}"
RETUNED = ("train.", "strategy.")
"""How the settings begin that may change from one experience to the next."""


class WhenSpec(Spec):
    """How much has to arrive, or how long the last training has to be ago. Exactly one of the two.

    Attributes:
        rows: so many rows were admitted and are not trained.
        every: so long, such as 1d, since the last training.
    """

    rows: Annotated[Count | None, NOT_LEARNED] = None
    every: Annotated[Lasting | None, NOT_LEARNED] = None


def _when(value: Any) -> str | WhenSpec:
    if value in ("any", "drift"):
        return str(value)
    if isinstance(value, WhenSpec):
        return value
    if not isinstance(value, dict) or len(value) != 1 or not value.keys() <= {"rows", "every"}:
        raise ValueError(_FORMS)
    if "rows" in value and (type(value["rows"]) is not int or value["rows"] < 1):
        raise ValueError("rows must be a whole number of at least 1")
    return WhenSpec(**value)


When = Annotated[Literal["any", "drift"] | WhenSpec, PlainValidator(_when)]


class RetuneSpec(Spec):
    """A search over the section `tune`, from the newest model on, when the stream has drifted.

    Attributes:
        on: `errors`: the model in use answers more of what arrives wrong than before.
        trials: settings that are tried, beside the present ones.
    """

    on: Annotated[Literal["errors"], NOT_LEARNED] = "errors"
    trials: Annotated[Count, Field(le=1000), NOT_LEARNED] = 8


class BudgetSpec(Spec):
    """How much may be trained and searched.

    Attributes:
        worker_hours: of training and searching, over all workers.
        per: in any time of this length, such as 1d.
    """

    worker_hours: Annotated[Positive, NOT_LEARNED]
    per: Annotated[Lasting, NOT_LEARNED] = "1d"


class UpdateSpec(Spec):
    """When `everlearn step` trains what was admitted. It never changes what is learned from what.

    Attributes:
        when: `any`: whatever was admitted is trained at once; `drift`: when it differs from what was learned; or with
            so many rows, or so long after the last training. The first experience is always trained.
        cooldown: nothing is trained for so long after the last training.
        retune: searches settings when the errors grow; null: they stay.
        budget: of trainings and searches; null: no limit.
    """

    when: Annotated[When, NOT_LEARNED] = "any"
    cooldown: Annotated[Duration | None, NOT_LEARNED] = None
    retune: Annotated[RetuneSpec | None, NOT_LEARNED] = None
    budget: Annotated[BudgetSpec | None, NOT_LEARNED] = None


def update_problems(
    update: UpdateSpec | None, stream: StreamSpec, space: Iterable[str] | None
) -> list[tuple[KeyPath, str]]:
    """What is wrong with `update` in its pipeline file.

    Args:
        space: the paths of `tune.space`; None: there is no section `tune`.
    """
    if update is None:
        return []
    if stream.source is None and stream.dataset.name not in SUFFIXES:
        return [(("update",), "is for files that arrive: name them under stream.source, or leave it out")]
    if update.retune is None:
        return []
    if space is None:
        text = 'needs a section tune that says what to search, such as tune: {space: {"train.optimizer.lr": ...}}'
        return [(("update", "retune"), text)]
    fixed = [path for path in space if not path.startswith(RETUNED) or path.startswith("train.per_experience")]
    if fixed:
        text = f"tune.space has {', '.join(fixed[:3])}: in a stream only settings of train and strategy can change"
        return [(("update", "retune"), text)]
    return []
