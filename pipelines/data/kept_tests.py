"""Test sets that stay in memory: every model is evaluated on all of them, and making one may mean to read a file."""

from __future__ import annotations

from typing import Any

from pipelines.data.experience_samples import Part
from pipelines.data.samples import StoredSamples, TensorSamples, TransformedSamples

LIMIT = 128 * 2**20
"""Bytes that the kept test sets of a stream may take together."""


class KeptTests:
    """The test sets of a stream: as many as fit into `LIMIT` are kept, the others are made again at each use.

    Samples that are not in memory, such as those of a map-style dataset, are not kept. A pickle carries none.
    """

    def __init__(self) -> None:
        self._sets: dict[Part, StoredSamples] = {}
        self._bytes = 0

    def of(self, part: Part) -> StoredSamples:
        """The test set of an experience, under its transform."""
        kept = self._sets.get(part)
        if kept is not None:
            return kept
        samples = transformed(part, part.test())
        if isinstance(samples, TensorSamples | TransformedSamples) and self._bytes + samples.bytes <= LIMIT:
            self._bytes += samples.bytes
            # Copied: a view of a part of a file would keep the whole file in memory.
            self._sets[part] = samples.alone() if isinstance(samples, TensorSamples) else samples
            return self._sets[part]
        return samples

    def __reduce__(self) -> tuple[type[KeptTests], tuple[Any, ...]]:
        return KeptTests, ()


def transformed(part: Part, samples: StoredSamples) -> StoredSamples:
    """Samples of an experience under its transform, if it has one."""
    return samples if part.transform is None else samples.transformed(part.transform)
