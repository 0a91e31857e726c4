"""A summary of the decisions of a pipeline, so that not all of them have to be read: `decisions/index.json`.

It is computed from the records, written after each of them, and computed again where it is missing. It may lack the
newest records, and never holds anything that is not in the records.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.commit import Sha256

Number = Annotated[int, Field(ge=1, le=10**9 - 1)]


class DecisionIndex(BaseModel):
    """What the first so many records say.

    Attributes:
        records: how many.
        last: checksum of the last one; None: there is none.
        newest: the number of the newest record of each kind.
        champion, bad: as the last record's state has them.
        verdicts: the numbers of the verdicts on each commit, since these two have changed, ascending.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    records: Annotated[int, Field(ge=0)] = 0
    last: Sha256 | None = None
    newest: dict[str, Number] = Field(default_factory=dict)
    champion: Sha256 | None = None
    bad: tuple[Sha256, ...] = ()
    verdicts: dict[Sha256, tuple[Number, ...]] = Field(default_factory=dict)

    def followed(
        self, number: int, checksum: str, kind: str, commit: str, champion: str | None, bad: tuple[str, ...]
    ) -> DecisionIndex:
        """The index after one more record.

        Args:
            champion, bad: of the state after it.
        """
        verdicts = dict(self.verdicts) if (champion, bad) == (self.champion, self.bad) else {}
        if kind == "verdict":
            verdicts[commit] = (*verdicts.get(commit, ()), number)
        newest = {**self.newest, kind: number}
        return DecisionIndex(
            records=number, last=checksum, newest=newest, champion=champion, bad=bad, verdicts=verdicts
        )

    def to_json(self) -> bytes:
        """As it is stored: equal ones have equal bytes."""
        return canonical_json(self.model_dump(mode="json"))
