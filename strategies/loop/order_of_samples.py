"""The order in which an experience's samples are learned: one permutation, or lanes of blocks."""

from __future__ import annotations

from strategies.api.data import Samples
from strategies.loop.lane_order import LaneOrder, blocks_in_memory
from strategies.loop.sampling import SampleOrder
from strategies.loop.train_settings import TrainSettings


def sample_order(samples: Samples, settings: TrainSettings, seed: int, experience: int) -> SampleOrder:
    """The order of samples under the settings of an experience.

    With `settings.lanes`, samples with an attribute `block_sizes`, (blocks,) int64, are read by blocks; others are
    divided into blocks in memory.
    """
    n, lanes = len(samples), settings.lanes
    length = (settings.batch_size, settings.epochs, settings.steps, seed, experience, settings.last_batch)
    if lanes is None:
        return SampleOrder(n, *length)
    sizes = getattr(samples, "block_sizes", None)
    if sizes is None:
        sizes = blocks_in_memory(n, lanes, settings.window)
    return LaneOrder(n, *length, sizes=sizes, lanes=lanes, window=settings.window)
