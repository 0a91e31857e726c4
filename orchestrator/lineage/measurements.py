"""What a commit records of its model: counts and scores on test sets, and its size."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ACCURACY = "accuracy"


class Record(BaseModel):
    """A part of a commit: unchangeable, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class ScoreRecord(Record):
    """A score that a commit has for its test sets.

    Attributes:
        name: of the score (`strategies.metrics.Score`).
        unit: `fraction`, or `number` in a unit of its own.
        better: the direction of improvement.
    """

    name: Name
    unit: Literal["fraction", "number"]
    better: Literal["higher", "lower"]


ACCURACY_RECORD = ScoreRecord(name=ACCURACY, unit="fraction", better="higher")


def is_none(value: Any) -> bool:
    """For fields that are left out of the record while they are None."""
    return value is None


Scores = Annotated[dict[Name, FiniteFloat] | None, Field(exclude_if=is_none)]


class TestCount(Record):
    """One model on one test set.

    Attributes:
        experience: position of the test set's experience in the stream.
        test: fingerprint of the test set.
        correct, total: samples; correct is None where samples are not right or wrong.
        scores: by name, beside the accuracy; those that are not defined for the test set are left out.
    """

    __test__: ClassVar[bool] = False  # keeps pytest from taking it for a test

    experience: Count
    test: Annotated[str, Field(min_length=1, max_length=1000)]
    correct: Count | None
    total: Count
    scores: Scores = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.correct is not None and self.correct > self.total:
            raise ValueError("more correct answers than samples")
        return self

    @property
    def accuracy(self) -> float | None:
        """Share of correct answers; None for an empty test set, and where samples are not right or wrong."""
        return self.correct / self.total if self.total and self.correct is not None else None

    def value(self, score: str) -> float | None:
        """The score of this name; None where it is not known or not defined."""
        found = (self.scores or {}).get(score)
        return self.accuracy if found is None and score == ACCURACY else found


class QualityRecord(Record):
    """A commit's model on the test sets of its own experience and of those before.

    Attributes:
        flips: for each experience before, samples of its test set that the parent's model answered right and this one
            wrong; None where what the parent's model answered is not known.
        classes: (unit, right answers, samples) of each output unit that is right for some sample.
        confusion: (unit that is right, unit that answered, samples) of the wrong answers; None: not counted.
        calibration: for each bin of the confidence, its samples, those answered right, and the sum of their
            confidences; None where the model's scores are not logits.
        scores: by name, of these test sets taken together.
    """

    flips: tuple[Count, ...] | None = None
    classes: tuple[tuple[Count, Count, Count], ...] = ()
    confusion: tuple[tuple[Count, Count, Count], ...] | None = None
    calibration: tuple[tuple[Count, Count, FiniteFloat], ...] | None = None
    scores: Scores = None


class SizeRecord(Record):
    """How much a commit's model and memories hold.

    Attributes:
        parameters: of the model.
        bytes: of its parameters and buffers.
        memory: bytes of all rehearsal memories together.
    """

    parameters: Count
    bytes: Count
    memory: Count
