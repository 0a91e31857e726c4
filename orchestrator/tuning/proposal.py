"""What a trial is to try."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.config.load import with_settings

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline


@dataclass(frozen=True)
class Proposal:
    """Settings to try. In Ray Tune's configuration it is one text, which Ray leaves as it is.

    Attributes:
        number: of the trial.
        document: place of its pipeline among the documents.
        settings: values by path, without the seed.
        seeds: of the runs.
    """

    number: int
    settings: Mapping[str, Any]
    seeds: Sequence[int]
    document: int = 0

    def to_config(self) -> dict[str, str]:
        fields = {
            "number": self.number,
            "document": self.document,
            "settings": dict(self.settings),
            "seeds": [*self.seeds],
        }
        return {"trial": json.dumps(fields)}

    @classmethod
    def of(cls, config: Mapping[str, str]) -> Proposal:
        return cls(**json.loads(config["trial"]))

    def pipelines(self, base: Pipeline) -> list[Pipeline]:
        """The pipeline of each seed. Raises PipelineError when the settings do not fit together."""
        return [with_settings(base, {**self.settings, "seed": seed}) for seed in self.seeds]
