"""A memory as samples to train on."""

import torch

from strategies.memory.memory_samples import MemorySamples
from strategies.memory.reservoir import Memory
from tests.strategies.streams import rows


def test_it_gives_what_the_memory_holds() -> None:
    memory = Memory(12)
    for index in range(2):
        part = rows((2 * index, 2 * index + 1), 10, index)
        memory.add(index, {"ids": part.ids, "targets": part.targets, "inputs": part.inputs})
    held = MemorySamples(memory)
    assert len(held) == 12 == len(set(held.ids.tolist()))
    assert bool((held.targets // 2 == held.experiences).all())
    index = torch.tensor([5, 0, 5])
    inputs, targets = held.take(index)
    assert torch.equal(inputs, memory.tensors["inputs"][index]) and torch.equal(targets, held.targets[index])
    read = list(held.batches([index, torch.tensor([3])]))
    assert [len(targets) for _, targets in read] == [3, 1]
    assert torch.equal(read[0][0], inputs)


def test_what_it_holds_stays_while_the_memory_continues() -> None:
    memory, part = Memory(4), rows((0, 1), 10, 1)
    memory.add(0, {"ids": part.ids, "targets": part.targets, "inputs": part.inputs})
    held = MemorySamples(memory)
    before = held.ids.tolist()
    later = rows((2, 3), 50, 2)
    memory.add(1, {"ids": later.ids, "targets": later.targets, "inputs": later.inputs})
    assert held.ids.tolist() == before != memory.tensors["ids"].tolist()
