"""The `gate` part of a pipeline file: what a new model must hold to before it becomes the champion, the one in use."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from pipelines.config.document import KeyPath
from pipelines.config.sections.section import Count, Positive, Spec, refuse
from strategies.api.influence import NOT_LEARNED

ColumnName = Annotated[str, Field(min_length=1, max_length=200)]
Margin = Annotated[float, Field(gt=0, lt=1)]
Event = Literal["verdict", "proposal", "promotion", "rollback", "update", "retune", "training"]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _variable(name: str) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise ValueError("must be the name of an environment variable, not its value")
    return name


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be an address such as https://example.com/hook")
    if "@" in parts.netloc:
        raise ValueError("must not hold a password: put the address into a variable, and name that in url_from")
    return url


Variable = Annotated[str, AfterValidator(_variable)]


class ScoreCondition(Spec):
    """The score on all test samples that both models were asked.

    Attributes:
        margin: the loss of accuracy that is tolerated.
        confidence: how certain it must be that the loss is smaller; and 1 - confidence is the budget of false refusals
            for the whole stream.
        on: `all`: the test sets of all experiences; `holdout`: the frozen holdout, so that a verdict costs the same
            however long the stream is. Old experiences and slices are then judged on the test sets that the commit was
            evaluated on (`evaluate`), and negative flips on the holdout.
    """

    margin: Annotated[Margin, NOT_LEARNED] = 0.01
    confidence: Annotated[float, Field(gt=0.5, lt=1), NOT_LEARNED] = 0.95
    on: Annotated[Literal["all", "holdout"], NOT_LEARNED] = "all"


class ForgettingCondition(Spec):
    """The accuracy on the test set of each experience that the champion has learned.

    Attributes:
        max: the loss of accuracy that is tolerated on any of them.
    """

    max: Annotated[Margin, NOT_LEARNED] = 0.05


class HoldoutCondition(Spec):
    """The accuracy on the frozen holdout: a bounded sample of all test samples of a `stream.source`.

    Attributes:
        samples: at most so many are kept in the store: those whose ids have the smallest hashes.
        margin: the loss of accuracy that is tolerated.
        lasting: a change that began more than so many experiences ago is a lasting one: what the champion has learned
            no longer decides by itself where it is shown to be worse than the commit by more than the margin, on
            samples that are newer than the champion and older than that. Choose it longer than labels may stay wrong
            unnoticed.
            null: no change counts as lasting, and a person promotes.
    """

    samples: Annotated[Count, Field(le=1_000_000), NOT_LEARNED] = 2000
    margin: Annotated[Margin, NOT_LEARNED] = 0.02
    lasting: Annotated[Count | None, NOT_LEARNED] = None


class RecentCondition(Spec):
    """The accuracy on the newest data, which neither model was trained on: the test sets of the experiences that were
    admitted and are not trained yet; where there are none, that of the newest experience.

    Attributes:
        margin: the loss of accuracy that is tolerated.
    """

    margin: Annotated[Margin, NOT_LEARNED] = 0.05


class SlicesCondition(Spec):
    """The accuracy on parts of the test samples.

    Attributes:
        by: what the parts are: the samples of each `class`, or the name of a column of the inputs, or a list of these.
            A column of up to 20 values has a part for each of them, others are divided at their quartiles.
        minimum: parts with fewer samples are not judged.
        margin: the loss of accuracy that is tolerated in any of them.
    """

    by: Annotated[ColumnName | Annotated[list[ColumnName], Field(min_length=1)], NOT_LEARNED] = "class"
    minimum: Annotated[Count, NOT_LEARNED] = 50
    margin: Annotated[Margin, NOT_LEARNED] = 0.1


class WebhookSpec(Spec):
    """An address that is sent each decision, as JSON that Slack shows as text, too.

    Attributes:
        url: the address, https://...
        url_from: the environment variable that holds the address, for one that is secret.
        secret_from: the environment variable that holds the key of the signature (HMAC-SHA256); None: not signed.
        events: the decisions that are sent; by default all on the champion. With a section `update` there are also
            `update`, `retune` and `training`.
    """

    url: Annotated[Annotated[str, AfterValidator(_web_address)] | None, NOT_LEARNED] = None
    url_from: Annotated[Variable | None, NOT_LEARNED] = None
    secret_from: Annotated[Variable | None, NOT_LEARNED] = None
    events: Annotated[list[Event] | None, NOT_LEARNED] = None

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if (self.url is None) == (self.url_from is None):
            place: KeyPath = ("url",)
            refuse([(place, "give either url or url_from, the address of the webhook")])
        return self


class GateSpec(Spec):
    """What a commit must hold to, compared with the champion, before it is promoted. Never changes what is learned.

    Attributes:
        score: the score on all test samples together. It must be shown to hold; of the conditions below, it is enough
            that they are not shown to be broken, and hold in what was measured.
        forgetting: the accuracy on each old experience; null: not judged.
        holdout: the accuracy on the frozen holdout; null: there is none.
        recent: the accuracy on the newest data, before it is trained on; null: not judged.
        negative_flips: the largest share of test samples that the champion answered right and the commit may answer
            wrong; null: not judged.
        calibration: how much the expected calibration error may grow; null: not judged.
        slices: parts of the samples; null: not judged.
        latency: how many times as long a prediction may take; null: not measured.
        size: how many times as large the model may be; null: not judged.
        capabilities: what the model must still be able to do; `base`: compared with the model before the stream, so
            that small losses do not add up; `champion`: with the one in use. The margins are those of the section
            `capabilities`. null: not judged.
        promote: `propose`: a commit that passes waits for `everlearn promote`; `automatic`: it becomes the champion.
        undecided: what happens where there are too few samples to tell. `propose`: a person decides; `promote`: as if
            it had passed; `refuse`: as if it had been refused.
        notify: webhooks that get decisions.
    """

    score: Annotated[ScoreCondition, NOT_LEARNED] = ScoreCondition()
    forgetting: Annotated[ForgettingCondition | None, NOT_LEARNED] = ForgettingCondition()
    holdout: Annotated[HoldoutCondition | None, NOT_LEARNED] = None
    recent: Annotated[RecentCondition | None, NOT_LEARNED] = None
    negative_flips: Annotated[Margin | None, NOT_LEARNED] = None
    calibration: Annotated[Margin | None, NOT_LEARNED] = None
    slices: Annotated[SlicesCondition | None, NOT_LEARNED] = None
    latency: Annotated[Positive | None, NOT_LEARNED] = None
    size: Annotated[Positive | None, NOT_LEARNED] = None
    capabilities: Annotated[Literal["base", "champion"] | None, NOT_LEARNED] = None
    promote: Annotated[Literal["propose", "automatic"], NOT_LEARNED] = "propose"
    undecided: Annotated[Literal["propose", "promote", "refuse"], NOT_LEARNED] = "propose"
    notify: Annotated[list[WebhookSpec], NOT_LEARNED] = Field(default_factory=list)

    @model_validator(mode="after")
    def _there_is_a_holdout(self) -> Self:
        if self.score.on == "holdout" and self.holdout is None:
            place: KeyPath = ("score", "on")
            refuse([(place, "there is no holdout: add gate.holdout, such as holdout: {samples: 2000}")])
        return self

    def conditions(self) -> dict[str, object]:
        """The conditions alone, as plain data: two gates with equal ones judge alike."""
        chosen = {"score", "forgetting", "negative_flips", "calibration", "slices", "latency", "size"}
        # What came later is left out where it is not asked for: earlier verdicts stand.
        later = {name for name in ("holdout", "recent", "capabilities") if getattr(self, name) is not None}
        found = self.model_dump(mode="json", include=chosen | later)
        if self.score.on == "all":
            del found["score"]["on"]
        if self.holdout is not None and self.holdout.lasting is None:
            del found["holdout"]["lasting"]
        return found
