"""One step of the stream."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.data.experience_samples import Part
from pipelines.data.kept_tests import KeptTests, transformed
from pipelines.data.samples import StoredSamples


@dataclass(frozen=True, eq=False)
class StreamExperience:
    """One step of the stream (see `strategies.api.data.Experience`).

    Training samples are made when they are read, and not cached here; test sets may be kept.
    """

    index: int
    _part: Part
    _kept: KeptTests = field(default_factory=KeptTests)

    @property
    def task(self) -> int:
        return self.index

    @property
    def classes(self) -> tuple[int, ...]:
        return self._part.classes

    @property
    def outputs(self) -> tuple[int, ...] | None:
        return self._part.outputs

    @property
    def train(self) -> StoredSamples:
        return transformed(self._part, self._part.train())

    @property
    def test(self) -> StoredSamples:
        return self._kept.of(self._part)
