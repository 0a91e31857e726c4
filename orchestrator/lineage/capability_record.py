"""What a commit records of a capability: what its model answered to each item, and the verdict against the base.

The base is the model before the first experience; its answers are in the first commit of a chain. Answers are kept in
the commit itself, so that they can be paired when the models are gone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat

from orchestrator.lineage.measurements import Count, Name, Record
from pipelines.capabilities.capability_verdicts import (
    CapabilityChange,
    capability_verdicts,
    compare_answers,
    compare_likelihoods,
)

if TYPE_CHECKING:
    from orchestrator.lineage.commit import Commit
    from pipelines.capabilities.capability_items import CapabilitySet

Answers = NDArray[np.float64]
Fraction = Annotated[float, Field(ge=0, le=1)]


class AnswersRecord(Record):
    """What a model answered to the items of a capability.

    Attributes:
        name, kind: of the capability.
        data: SHA-256 of the items' file.
        items: how many.
        answers: in base64: a bit for each item, or for texts the log-likelihood and the tokens of each, as two
            little-endian floats of 64 bits.
    """

    name: Name
    kind: Literal["multiple-choice", "classification", "perplexity", "generation-exact"]
    data: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    items: Annotated[int, Field(ge=1, le=2**53)]
    answers: str

    @classmethod
    def of(cls, asked: CapabilitySet, answers: Answers) -> AnswersRecord:
        """The record of what `score_capability` returned."""
        texts = asked.kind == "perplexity"
        data = answers.astype("<f8").tobytes() if texts else np.packbits(answers[:, 0] > 0).tobytes()
        text = base64.b64encode(data).decode()
        return cls(name=asked.name, kind=asked.kind, data=asked.data, items=len(asked.items), answers=text)

    def unpacked(self) -> Answers:
        """(items, 1) with 1 for right answers; of texts (items, 2): log-likelihood and tokens.

        Raises:
            ValueError: the record is damaged.
        """
        try:
            data = base64.b64decode(self.answers, validate=True)
        except binascii.Error as error:
            raise ValueError(f"capability {self.name}: answers that cannot be read") from error
        wanted = self.items * 16 if self.kind == "perplexity" else -(-self.items // 8)
        if len(data) != wanted:
            raise ValueError(f"capability {self.name}: answers to another number of items")
        if self.kind == "perplexity":
            return np.frombuffer(data, dtype="<f8").astype(np.float64).reshape(self.items, 2)
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=self.items)
        return bits.astype(np.float64)[:, None]

    def answers_to(self, asked: CapabilitySet) -> bool:
        """Whether these are the items."""
        return (self.name, self.kind, self.data) == (asked.name, asked.kind, asked.data)


class CapabilityRecord(AnswersRecord):
    """Of a commit's model, with what follows from the base's answers.

    Attributes:
        base, value: what the base and this model reach: the share of right answers, or the mean log-likelihood of a
            token.
        lost, won: items that the base answered right and this model wrong, and the reverse; None for texts.
        margin: a smaller loss is none.
        p_lost, p_kept: how often a model that is no worse does as badly by chance, and one that is worse by the margin
            as well.
        verdict: of all capabilities of the pipeline together (Holm 1979).
        wanted: about how many items would decide; None: it is decided, or not known.
    """

    base: FiniteFloat
    value: FiniteFloat
    lost: Count | None
    won: Count | None
    margin: Fraction
    p_lost: Fraction
    p_kept: Fraction
    verdict: Literal["kept", "lost", "undecided"]
    wanted: Count | None = None


def change(base: AnswersRecord, now: AnswersRecord, margin: float) -> CapabilityChange:
    """The verdict on a capability. Raises ValueError: a record is damaged, or they are of other items."""
    before, after = base.unpacked(), now.unpacked()
    if (base.kind, base.data, base.items) != (now.kind, now.data, now.items):
        raise ValueError(f"capability {now.name}: answers to other items than those of the base")
    if now.kind == "perplexity":
        return compare_likelihoods(before, after, margin)
    return compare_answers(before[:, 0] > 0, after[:, 0] > 0, margin)


def judged(
    base: Sequence[AnswersRecord], now: Sequence[AnswersRecord], margins: Mapping[str, float]
) -> list[CapabilityRecord]:
    """The records of a commit, with the verdicts.

    Args:
        base, now: of the same capabilities in the same order.
        margins: by the capability's name.

    Raises:
        ValueError: as `change`.
    """
    changes = [change(one, other, margins[other.name]) for one, other in zip(base, now, strict=True)]
    return [
        CapabilityRecord(
            name=answered.name,
            kind=answered.kind,
            data=answered.data,
            items=answered.items,
            answers=answered.answers,
            base=found.base,
            value=found.value,
            lost=found.lost,
            won=found.won,
            margin=found.margin,
            p_lost=min(1.0, found.p_lost),
            p_kept=min(1.0, found.p_kept),
            verdict=verdict,
            wanted=wanted,
        )
        for answered, found, (verdict, wanted) in zip(now, changes, capability_verdicts(changes), strict=True)
    ]


def capability_documents(commit: Commit) -> list[dict[str, Any]] | None:
    """The verdicts of a commit as plain data, without the answers; None: its model was not asked."""
    if commit.capabilities is None:
        return None
    return [one.model_dump(mode="json", exclude={"answers", "data"}) for one in commit.capabilities]
