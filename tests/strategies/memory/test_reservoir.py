"""Laws of the memory, against a memory that is written down as its definition says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from strategies.loop.seeded_random import generator
from strategies.memory.reservoir import POLICIES, Memory, Shard, balanced_bottom_k, bottom_k, sample_keys


@dataclass(frozen=True)
class Sample:
    id: int
    target: int
    experience: int


@dataclass(frozen=True)
class Kind:
    """The arguments of a memory."""

    capacity: int
    policy: str
    per_class: int | None
    seed: int = 5

    def memory(self) -> Memory:
        return Memory(self.capacity, self.policy, self.seed, per_class=self.per_class)


def key(sample: Sample, seed: int) -> int:
    return int(sample_keys(torch.tensor([sample.id]), seed)[0])


def definition(kind: Kind, samples: Iterable[Sample]) -> set[Sample]:
    """What a memory of `kind` holds of the samples."""
    ordered = sorted(set(samples), key=lambda sample: key(sample, kind.seed))
    if kind.policy == "uniform":
        return set(ordered[: kind.capacity])
    seen: Counter[int] = Counter()
    places = []
    for sample in ordered:
        if kind.per_class is None or seen[sample.target] < kind.per_class:
            places.append((seen[sample.target], key(sample, kind.seed), sample))
        seen[sample.target] += 1
    return {sample for _, _, sample in sorted(places, key=lambda place: place[:2])[: kind.capacity]}


def tensors(samples: Iterable[Sample]) -> dict[str, Tensor]:
    """Samples as `Memory.add` takes them; inputs and logits can be told from the id."""
    listed = list(samples)
    ids = torch.tensor([s.id for s in listed], dtype=torch.int64)
    return {
        "ids": ids,
        "targets": torch.tensor([s.target for s in listed], dtype=torch.int64),
        "inputs": (ids % 251).to(torch.uint8).view(-1, 1, 1).repeat(1, 2, 3),
        "logits": ids.double() / 7,
    }


def add(memory: Memory, samples: Iterable[Sample]) -> Memory:
    parts: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        parts[sample.experience].append(sample)
    for experience, part in parts.items():
        memory.add(experience, tensors(part))
    return memory


def held(memory: Memory) -> set[Sample]:
    """What is in the memory, after a check that every sample still has its own tensors."""
    if not len(memory):
        return set()
    t = memory.tensors
    assert torch.equal(t["inputs"], (t["ids"] % 251).to(torch.uint8).view(-1, 1, 1).repeat(1, 2, 3))
    assert torch.equal(t["logits"], t["ids"].double() / 7)
    listed = [Sample(*row) for row in zip(*(t[n].tolist() for n in ("ids", "targets", "experiences")), strict=True)]
    assert len(set(listed)) == len(listed) == len(memory)
    return set(listed)


def same(one: Memory, other: Memory) -> bool:
    """Whether two memories are the same, sample for sample and in order."""
    if len(one) == len(other) == 0:
        return True
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


ids = st.one_of(st.integers(0, 40), st.integers(-(2**63), 2**63 - 1))
kinds = st.builds(
    Kind, capacity=st.integers(1, 25), policy=st.sampled_from(POLICIES), per_class=st.none() | st.integers(1, 6)
).map(lambda kind: kind if kind.policy == "class-balanced" else replace(kind, per_class=None))


@st.composite
def pasts(draw: st.DrawFn) -> list[Sample]:
    """Samples of up to four experiences, oldest first."""
    chosen = draw(st.lists(ids, unique=True, max_size=60))
    experiences = sorted(draw(st.lists(st.integers(0, 3), min_size=len(chosen), max_size=len(chosen))))
    targets = draw(st.lists(st.integers(0, 4), min_size=len(chosen), max_size=len(chosen)))
    return [Sample(*row) for row in zip(chosen, targets, experiences, strict=True)]


@given(kinds, pasts())
def test_it_holds_what_its_definition_says_in_order(kind: Kind, past: list[Sample]) -> None:
    memory = add(kind.memory(), past)
    assert held(memory) == definition(kind, past)
    assert len(memory) <= kind.capacity
    rows = [(s.experience, key(s, kind.seed)) for s in _listed(memory)]
    assert rows == sorted(rows)


@given(kinds, pasts(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_nor_portions_change_it(kind: Kind, past: list[Sample], random: object) -> None:
    expected = add(kind.memory(), past)
    shuffled = [*past, *past[::2]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    memory = kind.memory()
    bounds = range(0, len(shuffled) + 5, 5)
    for start, stop in pairwise(bounds):
        add(memory, shuffled[start:stop])
    assert same(memory, expected)


@given(kinds, pasts(), st.integers(1, 4))
def test_merging_what_several_ranks_saw_gives_the_memory_of_all(kind: Kind, past: list[Sample], ranks: int) -> None:
    parts = [add(kind.memory(), past[rank::ranks]) for rank in range(ranks)]
    for order in (parts, parts[::-1]):
        merged = kind.memory()
        for part in order:
            merged.merge(part)
        assert same(merged, add(kind.memory(), past))


@given(kinds, pasts())
def test_candidates_are_all_that_need_to_be_read(kind: Kind, past: list[Sample]) -> None:
    memory, everything = kind.memory(), kind.memory()
    for experience in range(4):
        new = [s for s in past if s.experience == experience]
        t = tensors(new)
        chosen = memory.candidates(t["ids"], t["targets"])
        assert len(chosen) <= kind.capacity
        memory.add(experience, {name: tensor[chosen] for name, tensor in t.items()})
        everything.add(experience, t)
        assert same(memory, everything)
        assert {new[i] for i in chosen.tolist()} == {s for s in held(memory) if s.experience == experience}


@given(kinds, pasts(), st.integers(0, 4))
def test_the_quick_test_fails_none_in_vain_and_is_exact_for_one(kind: Kind, past: list[Sample], start: int) -> None:
    """A memory filled batch by batch from what passes the test is that of all samples."""
    memory = add(kind.memory(), past[: start * 10])
    for sample in past[start * 10 :]:
        t = tensors([sample])
        alone = add(kind.memory(), [*held(memory), sample])
        assert len(memory.promising(t["ids"], t["targets"])) == (sample in held(alone))
    for experience in range(4):
        for part in _fives([s for s in past[start * 10 :] if s.experience == experience]):
            t = tensors(part)
            chosen = memory.promising(t["ids"], t["targets"])
            assert set(memory.candidates(t["ids"], t["targets"]).tolist()) <= set(chosen.tolist())
            memory.add(experience, {name: tensor[chosen] for name, tensor in t.items()})
    assert same(memory, add(kind.memory(), past))


def _fives(samples: list[Sample]) -> Iterable[list[Sample]]:
    return (samples[i : i + 5] for i in range(0, len(samples), 5))


@given(kinds, pasts())
def test_survivors_are_prefixes_and_first_shards_restore_it(kind: Kind, past: list[Sample]) -> None:
    memory = kind.memory()
    first: dict[int, Shard] = {}
    for experience in range(4):
        add(memory, [s for s in past if s.experience == experience])
        for shard in memory.shards():
            first.setdefault(shard.experience, shard)
            _check_prefix(kind, first[shard.experience], shard)
        restored = kind.memory()
        restored.restore(replace(first[shard.experience], lengths=shard.lengths) for shard in memory.shards())
        assert same(restored, memory)


def _check_prefix(kind: Kind, first: Shard, now: Shard) -> None:
    assert sum(now.lengths.values()) == len(now.tensors["ids"])
    for group, length in now.lengths.items():
        rows = [
            tensor["ids"][_in_group(kind, group, tensor["targets"])].tolist() for tensor in (first.tensors, now.tensors)
        ]
        assert rows[1] == rows[0][:length]
        assert len(rows[1]) == length


def _in_group(kind: Kind, group: str, targets: Tensor) -> Tensor:
    if kind.policy == "uniform":
        assert group == "all"
        return torch.ones_like(targets, dtype=torch.bool)
    return targets == int(group)


@given(kinds, pasts(), st.data())
def test_what_is_forgotten_is_gone_for_good(kind: Kind, past: list[Sample], data: st.DataObject) -> None:
    memory = add(kind.memory(), [s for s in past if s.experience < 2])
    first = {shard.experience: shard for shard in memory.shards()}
    before = held(memory)
    gone = set(data.draw(st.lists(st.sampled_from(past), unique=True) if past else st.just([])))
    memory.forget(s.id for s in gone)
    assert held(memory) == before - gone
    add(memory, past[::-1])
    assert not held(memory) & gone
    assert held(memory) == definition(kind, set(past) - gone)

    memory = add(kind.memory(), [s for s in past if s.experience < 2])
    memory.forget(s.id for s in gone)
    add(memory, [s for s in past if s.experience >= 2])
    for shard in memory.shards():
        first.setdefault(shard.experience, shard)
    restored = kind.memory()
    restored.forget(s.id for s in gone)
    restored.restore(replace(first[shard.experience], lengths=shard.lengths) for shard in memory.shards())
    assert same(restored, memory)


@given(pasts(), pasts())
def test_merging_takes_over_what_the_other_has_forgotten(mine: list[Sample], others: list[Sample]) -> None:
    kind = Kind(100, "uniform", None)
    one, other = add(kind.memory(), mine), kind.memory()
    other.forget([s.id for s in others])
    one.merge(other)
    assert {s.id for s in held(one)} == {s.id for s in mine} - {s.id for s in others}


@given(pasts(), st.integers(1, 30))
def test_balanced_is_as_even_as_the_classes_allow_and_full(past: list[Sample], capacity: int) -> None:
    kept = Counter(s.target for s in held(add(Kind(capacity, "class-balanced", None).memory(), past)))
    available = Counter(s.target for s in past)
    assert kept.total() == min(capacity, len(past))
    largest = max(kept.values(), default=0)
    for target, there in available.items():
        assert kept[target] >= min(there, largest - 1)


@given(st.integers(1, 40), st.integers(0, 130), st.integers(0, 5))
def test_draws_repeat_nothing_before_everything_was_drawn(size: int, n: int, place: int) -> None:
    memory = add(Kind(100, "uniform", None).memory(), [Sample(i, 0, 0) for i in range(size)])
    drawn = memory.draw(n, generator(0, "draw", place)).tolist()
    assert len(drawn) == n
    counts = Counter(drawn)
    assert set(counts) <= set(range(size))
    assert all(n // size <= counts[i] <= -(-n // size) for i in range(size))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("spread", ["rows", "shifted", "scattered"])
def test_every_sample_has_the_same_chance(policy: str, spread: str) -> None:
    n, capacity, seeds = 300, 60, 400
    every = torch.arange(n)
    every = {"rows": every, "shifted": every << 40, "scattered": every * 0x5DEECE66D * 2**17 + 11}[spread]
    targets = torch.arange(n) % 3
    kept = torch.zeros(n)
    for seed in range(seeds):
        kept[Memory(capacity, policy, seed).candidates(every, targets)] += 1
    share = capacity / n
    statistic = float(((kept - seeds * share) ** 2 / (seeds * share * (1 - share))).sum())
    # About chi-squared with n degrees of freedom: mean 300, standard deviation 24.5.
    assert 300 - 4 * 24.5 < statistic < 300 + 4 * 24.5
    assert kept.sum() == capacity * seeds


def test_keys_are_uniform_and_those_of_two_seeds_have_nothing_in_common() -> None:
    one, other = (sample_keys(torch.arange(40_000), seed) for seed in (0, 1))
    assert len(np.unique(one)) == len(one)
    table, _, _ = np.histogram2d(one / 2.0**64, other / 2.0**64, bins=10, range=[[0, 1], [0, 1]])
    statistic = float(((table - 400) ** 2 / 400).sum())
    assert 100 - 4 * 14.1 < statistic < 100 + 4 * 14.1


def test_keys_stay_the_same_over_releases() -> None:
    """Stored memories depend on them."""
    keys = sample_keys(torch.tensor([0, 1, -1, 2**62]), 7).tolist()
    assert keys == [_splitmix(i + _splitmix(7) * 0x9E3779B97F4A7C15) for i in (0, 1, -1, 2**62)]


def _splitmix(state: int) -> int:
    """SplitMix64, in whole numbers."""
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_bottom_k_by_hand() -> None:
    keys = np.array([50, 10, 40, 20, 30], dtype=np.uint64)
    assert bottom_k(keys, 3).tolist() == [1, 3, 4]
    assert bottom_k(keys, 9).tolist() == [1, 3, 4, 2, 0]
    # Class 0 holds keys 50, 10, 40 and class 1 holds 20, 30: first the smallest of each, then the second ones.
    classes = np.array([0, 0, 0, 1, 1])
    assert balanced_bottom_k(keys, classes, 4).tolist() == [1, 3, 4, 2]
    assert balanced_bottom_k(keys, classes, 5, per_class=1).tolist() == [1, 3]


def test_a_smaller_capacity_holds_from_the_next_samples_on() -> None:
    past = [Sample(i, i % 3, 0) for i in range(30)]
    memory = add(Kind(20, "uniform", None).memory(), past)
    memory.capacity = 5
    add(memory, [Sample(100, 0, 1)])
    assert held(memory) == definition(Kind(5, "uniform", None), [*past, Sample(100, 0, 1)])


def test_size_in_bytes_and_stored_types() -> None:
    memory = Memory(10, "uniform", 0)
    assert (len(memory), memory.bytes, memory.shards()) == (0, 0, [])
    memory.add(0, {"ids": torch.arange(4), "targets": torch.zeros(4).long(), "inputs": torch.ones(4, 5).byte()})
    assert memory.tensors["inputs"].dtype == torch.uint8
    assert memory.bytes == 4 * (8 + 8 + 8 + 5)


def test_impossible_memories_are_refused() -> None:
    with pytest.raises(ValueError, match="uniform, class-balanced, not 'random'"):
        Memory(10, "random")
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Memory(0)


def _listed(memory: Memory) -> list[Sample]:
    if not len(memory):
        return []
    rows = zip(*(memory.tensors[name].tolist() for name in ("ids", "targets", "experiences")), strict=True)
    return [Sample(*row) for row in rows]
