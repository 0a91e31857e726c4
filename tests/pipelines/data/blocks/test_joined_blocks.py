"""Samples of several experiences and of a memory are read by blocks as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pipelines.data.datasets.dataset import ExperienceDataset
from pipelines.data.datasets.parquet import blocks
from pipelines.data.samples import TensorSamples
from strategies.api.data import in_blocks
from strategies.loop.lane_order import LaneOrder
from strategies.loop.process_group import Group
from strategies.memory.joined_samples import JoinedSamples, joined_samples
from tests.pipelines.data.blocks.block_files import WIDTH, stream_of_files


def test_they_are_what_their_parts_are_in_memory(tmp_path: Path) -> None:
    found = blocks(
        None, str(stream_of_files(tmp_path, 2)), test=None, test_fraction=0.2, inputs="x", label="label", id=None,
        classes=None, shape=None, channels="first",
    )  # fmt: skip
    assert isinstance(found, ExperienceDataset)
    inputs = torch.randn(1030, WIDTH)
    held = TensorSamples(inputs, torch.arange(1030) % 3, torch.arange(1030) + 10**6)
    origin = torch.arange(1030) % 2
    parts, experiences = [found.train(0), held, found.train(1)], [0, origin, 1]
    joined, whole = joined_samples(parts, experiences), JoinedSamples(parts, experiences)
    assert in_blocks(joined) and len(joined) == len(whole)
    everything = torch.arange(len(joined))
    draw = torch.from_numpy(np.random.default_rng(0).permutation(len(joined)))
    for index in (everything, draw[:40], draw[:0]):
        for one, other in zip(joined.take(index), whole.take(index), strict=True):
            assert torch.equal(one, other)
        assert torch.equal(joined.take_with_ids(index)[2], whole.ids[index])
        assert torch.equal(joined.experiences[index], whole.experiences[index])  # type: ignore[attr-defined]
    labelled = [torch.cat(column) for column in zip(*joined.labelled(), strict=True)]
    assert torch.equal(labelled[0], whole.ids) and torch.equal(labelled[1], whole.targets)
    assert torch.equal(joined.target_counts(3), whole.targets.bincount(minlength=3))

    order = LaneOrder(len(joined), 100, 1, None, 0, 1, sizes=joined.block_sizes, lanes=3, window=2)
    for group in (Group(0, 2), Group(1, 2)):
        read = joined.lane_batches(order, group)
        for (inputs, targets), places in zip(read, order.shares(group), strict=True):
            assert torch.equal(inputs, whole.take(places)[0]) and torch.equal(targets, whole.targets[places])
