"""The samples of an experience that get into a memory, also where not all samples fit into the machine's."""

from __future__ import annotations

import torch
from torch import Tensor

from strategies.api.data import BlockSamples, Samples, in_blocks
from strategies.loop.process_group import Group
from strategies.memory.reservoir import Memory


def newcomers(memory: Memory, samples: Samples, group: Group) -> dict[str, Tensor]:
    """`ids`, `targets` and `inputs` of the samples that get into the memory if all compete; the same on every rank.

    Of samples that are read by blocks, ids and targets pass once, and then the blocks are read in which the chosen
    samples lie: each rank reads its share of them.
    """
    if in_blocks(samples):
        return _from_blocks(memory, samples, group)
    chosen = memory.candidates(samples.ids, samples.targets)
    if not len(chosen):
        return {"ids": chosen}
    inputs, targets = samples.take(chosen)
    return {"ids": samples.ids[chosen], "targets": targets, "inputs": inputs}


def _from_blocks(memory: Memory, samples: BlockSamples, group: Group) -> dict[str, Tensor]:
    best = Memory(memory.capacity, memory.policy, memory.seed, per_class=memory.per_class)
    best.forgotten = memory.forgotten
    held = drawn(best, samples)
    chosen = memory.candidates(held["ids"], held["targets"])
    if not len(chosen):
        return {"ids": chosen}
    share = group.share(len(chosen))
    inputs, _ = samples.take(held["places"][chosen[share]])
    return {
        "ids": held["ids"][chosen],
        "targets": held["targets"][chosen],
        "inputs": group.gather(inputs, share, len(chosen)),
    }


def drawn(memory: Memory, samples: BlockSamples) -> dict[str, Tensor]:
    """`ids`, `targets` and `places` of the samples that an empty memory keeps, ascending by place: their labels pass
    once."""
    start = 0
    for ids, targets in samples.labelled():
        near = memory.promising(ids, targets)
        if len(near):
            memory.add(0, {"ids": ids[near], "targets": targets[near], "places": near + start})
        start += len(ids)
    order = torch.argsort(memory.tensors["places"])
    return {name: memory.tensors[name][order] for name in ("ids", "targets", "places")}
