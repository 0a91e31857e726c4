"""A stream whose test sets are a validation split of its training data, so that a search never sees the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.blurry_streams import BlurredPart
from pipelines.data.datasets.label_columns import is_columns
from pipelines.data.experience_samples import ID_BITS, Part
from pipelines.data.samples import StoredSamples
from pipelines.data.streams import Stream
from pipelines.data.transforms import Transform
from strategies.api.data import in_blocks
from strategies.loop.seeded_random import integer
from strategies.memory.reservoir import sample_keys


def hold_out(stream: Stream, share: float, seed: int, *, since: int = 0) -> Stream:
    """The stream with a part of each experience's training set as its test set, and the rest as its training set.

    Of every class in an experience the samples with the smallest seeded hash of their ids are held out: which they are
    depends neither on their order nor on the other classes. Transformed streams show the same rows in every experience,
    so there the rows are hashed: a row that is held out is held out everywhere. The experiences of a blurry stream
    exchange the remaining samples, so that their test sets are not mixed.

    Args:
        share: of each class's samples, in (0, 1); at least one sample of each class that has two stays on either side.
        since: experiences before this one stay as they are, with their test sets.

    Raises:
        DataError: an experience is too small to be split.
    """
    key = integer(seed, "validation")

    def split(parts: Mapping[int, Part]) -> dict[int, Part]:
        return {i: part if i < since else _HeldOut(part, i, share, key) for i, part in parts.items()}

    parts = {index: stream._parts[index] for index in stream._indices}
    first = next(iter(parts.values()), None)
    if isinstance(first, BlurredPart):
        apart = first.exchange.between(split(first.exchange.parts))
        parts = {index: apart[index] for index in parts}
    else:
        parts = split(parts)
    return Stream(
        parts,
        setting=stream.setting,
        outputs=stream.outputs,
        input_shape=stream.input_shape,
        fingerprints={place: found for place, found in stream._fingerprints.items() if place[0] < since},
        class_names=stream.class_names,
        unit_names=stream.unit_names,
        warnings=stream.warnings,
        settings=stream.settings,
    )


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """One experience, split. A `pipelines.data.experience_samples.Part`."""

    part: Part
    index: int
    share: float
    key: int

    @property
    def classes(self) -> tuple[int, ...]:
        return self.part.classes

    @property
    def outputs(self) -> tuple[int, ...] | None:
        return self.part.outputs

    @property
    def transform(self) -> Transform | None:
        return self.part.transform

    def train(self) -> StoredSamples:
        return self._of(held_out=False)

    def test(self) -> StoredSamples:
        return self._of(held_out=True)

    def _of(self, held_out: bool) -> StoredSamples:
        samples = self.part.train()
        if in_blocks(samples):
            raise DataError(
                "tune.validation: holds out single samples, and in lanes this data is read in blocks: leave "
                "stream.lanes out, or search on a part of the data"
            )
        ids = samples.ids
        if getattr(self.part, "id_base", None) is not None:
            ids = ids & ((1 << ID_BITS) - 1)
        chosen = _chosen(ids, samples.targets, self.share, self.key)
        if not chosen.any() or chosen.all():
            raise DataError(
                f"tune.validation: experience {self.index} has {len(samples)} training samples, too few to hold out "
                f"{self.share:g} of them"
            )
        return samples.subset(torch.nonzero(chosen if held_out else ~chosen).flatten())


def _chosen(ids: Tensor, targets: Tensor, share: float, key: int) -> Tensor:
    """(n,) bool: whether a sample is held out."""
    keys = sample_keys(ids, key)
    chosen = torch.zeros(len(ids), dtype=torch.bool)
    if is_columns(targets):  # no classes to hold out a share of each
        targets = torch.zeros(len(ids), dtype=torch.int64)
    for target in torch.unique(targets):
        rows = torch.nonzero(targets == target).flatten()
        if len(rows) < 2:
            continue
        count = min(max(1, round(len(rows) * share)), len(rows) - 1)
        order = torch.from_numpy(keys[rows.numpy()].argsort(kind="stable"))
        chosen[rows[order[:count]]] = True
    return chosen
