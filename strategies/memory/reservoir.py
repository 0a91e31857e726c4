"""The memory of rehearsal: a uniform sample of the past, the same at any number of workers.

Every sample has a key, a seeded hash of its id, and the memory keeps those with the smallest keys (bottom-k sampling,
Cohen & Kaplan 2007, Summarizing data using bottom-k sketches). Like a reservoir (Vitter 1985), this gives a uniform
sample without replacement. Merging, repeating and resuming do not change it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Keys = NDArray[np.uint64]
Index = NDArray[np.int64]

POLICIES = ("uniform", "class-balanced")
_EVERYTHING = "all"
_FEW = 16


def sample_keys(ids: Tensor, seed: int) -> Keys:
    """Keys of samples: SplitMix64 (Steele, Lea & Flood 2014) of the ids, seeded.

    Args:
        ids: (n,) int64.

    Returns:
        (n,) uint64, uniform over the range; equal ids have equal keys, different ids almost surely different ones.
    """
    return _mix(ids.numpy().astype(np.uint64) + _offset(seed))


@lru_cache(maxsize=8)
def _offset(seed: int) -> Keys:
    with np.errstate(over="ignore"):
        return _mix(np.array([seed], dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)


def _mix(z: Keys) -> Keys:
    with np.errstate(over="ignore"):
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def bottom_k(keys: Keys, k: int) -> Index:
    """Positions of the k smallest keys (all, when there are fewer), ascending by key."""
    order: Index = np.argsort(keys, kind="stable")[:k]
    return order


def balanced_bottom_k(keys: Keys, classes: Index, k: int, per_class: int | None = None) -> Index:
    """Positions of the k samples that come first by (rank of the key within the class, key).

    Every class keeps its smallest keys, as evenly as the classes' sizes allow, and no place stays empty. The order is
    total and a sample's rank only grows as others come, so that merging holds as for `bottom_k`.

    Args:
        keys: (n,) uint64. classes: (n,) int64.
        per_class: the most samples that a class keeps.
    """
    by_class = np.lexsort((keys, classes))
    ordered = classes[by_class]
    first = np.r_[0, np.flatnonzero(np.diff(ordered)) + 1] if len(ordered) else np.empty(0, dtype=np.int64)
    sizes = np.diff(np.r_[first, len(ordered)])
    rank = np.empty(len(keys), dtype=np.int64)
    rank[by_class] = np.arange(len(ordered)) - np.repeat(first, sizes)
    chosen: Index = np.lexsort((keys, rank))[:k]
    return chosen if per_class is None else chosen[rank[chosen] < per_class]


def _rows(old: Tensor | None, new: Tensor, order: Tensor) -> Tensor:
    """The rows `order`, (m,), of `old` followed by `new`, without putting them together first."""
    if old is None or not len(old):
        return new[order]
    rows = old.index_select(0, order.clamp(max=len(old) - 1))
    added = (order >= len(old)).nonzero().squeeze(1)
    rows[added] = new[order[added] - len(old)]
    return rows


@dataclass(frozen=True)
class Shard:
    """What one experience contributes to the memory, ascending by key.

    Attributes:
        experience: its index.
        tensors: `ids` (n,), `targets` (n,), `inputs` (n, *shape) in stored dtype, and further per-sample tensors.
        lengths: for each group (`all`, or a class), how many of its samples, by smallest key, are in the memory.
    """

    experience: int
    tensors: Mapping[str, Tensor]
    lengths: Mapping[str, int]


class Memory:
    """At most `capacity` samples of the past.

    The survivors of each experience are always a prefix of its contribution by key (within each class, for
    `class-balanced`): a stored shard is never written again, only the length of its prefix changes.

    Attributes:
        tensors: `ids`, `targets`, `experiences` (n,) int64, `inputs` (n, *shape) in stored dtype, and any further
            per-sample tensors given to `add`; ordered by (experience, key).
        forgotten: ids that must never be in the memory.
    """

    def __init__(self, capacity: int, policy: str = "uniform", seed: int = 0, *, per_class: int | None = None) -> None:
        if policy not in POLICIES:
            raise ValueError(f"the policy of a memory is one of {', '.join(POLICIES)}, not {policy!r}")
        if capacity < 1:
            raise ValueError(f"the capacity of a memory is at least 1, not {capacity}")
        self.capacity = capacity
        self.policy = policy
        self.seed = seed
        self.per_class = per_class
        self.tensors: dict[str, Tensor] = {}
        self.forgotten: frozenset[int] = frozenset()
        self._bars: tuple[Mapping[str, Tensor], int, Keys] | None = None

    def __len__(self) -> int:
        return int(self.tensors["ids"].shape[0]) if self.tensors else 0

    @property
    def bytes(self) -> int:
        """Size of the tensors that it holds."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())

    def resize(self, capacity: int) -> None:
        """Hold at most `capacity` samples from now on; surplus samples are removed now."""
        self.capacity = capacity
        if len(self) > capacity:
            kept = torch.from_numpy(np.sort(self._choose(self.tensors)))
            self.tensors = {name: t[kept] for name, t in self.tensors.items()}

    def promising(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Positions of the samples whose keys are small enough to get in, (m,) int64.

        A quick filter for each batch: the result has all candidates, and few others.

        Args:
            ids, targets: (n,) int64.
        """
        if not len(self):
            return torch.arange(len(ids))
        if self._bars is None or self._bars[0] is not self.tensors or self._bars[1] != self.capacity:
            self._bars = (self.tensors, self.capacity, self._bars_now())
        bars = self._bars[2]
        known = np.minimum(targets.numpy(), len(bars) - 1) if len(bars) > 1 else 0
        return torch.from_numpy(np.flatnonzero(sample_keys(ids, self.seed) <= bars[known]))

    def candidates(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Positions among new samples that would be in the memory if all of them were added, (m,) int64.

        Args:
            ids, targets: (n,) int64.
        """
        hopeful = self.promising(ids, targets)
        if not len(hopeful):
            return hopeful
        fresh = hopeful[self._fresh(ids[hopeful])]
        both = {"ids": ids[fresh], "targets": targets[fresh]}
        if self.tensors:
            both = {name: torch.cat([self.tensors[name], new]) for name, new in both.items()}
        chosen = self._choose(both)
        return fresh[torch.from_numpy(np.sort(chosen[chosen >= len(self)] - len(self)))]

    def add(self, experience: int, tensors: Mapping[str, Tensor]) -> None:
        """Add samples of an experience; samples that the memory holds already, or has forgotten, change nothing.

        Args:
            tensors: `ids`, `targets`, `inputs` and any further per-sample tensors, all of the same first size.
        """
        fresh = self._fresh(tensors["ids"])
        self._take([(experience, {name: t[fresh].cpu() for name, t in tensors.items()})])

    def _take(self, parts: Sequence[tuple[int, Mapping[str, Tensor]]]) -> None:
        """Add samples that are neither held nor forgotten, by experience; all parts have the same tensors."""
        whole = [{**part, "experiences": torch.full((len(part["ids"]),), experience)} for experience, part in parts]
        new = whole[0] if len(whole) == 1 else {name: torch.cat([part[name] for part in whole]) for name in whole[0]}
        small = {n: t for n, t in new.items() if t.dim() == 1}
        both = {n: torch.cat([self.tensors[n], t]) for n, t in small.items()} if self.tensors else small
        chosen = self._choose(both)
        order = torch.from_numpy(chosen[np.lexsort((self._keys(both)[chosen], both["experiences"][chosen].numpy()))])
        self.tensors = {name: _rows(self.tensors.get(name), t, order) for name, t in new.items()}

    def merge(self, other: Memory) -> None:
        """Merge another memory of the same capacity, policy and seed: gives the memory of the union of both."""
        self.forget(other.forgotten)
        for shard in other.shards():
            self.add(shard.experience, shard.tensors)

    def forget(self, ids: Iterable[int]) -> None:
        """Remove samples by id, for good: they are refused from now on."""
        self.forgotten = self.forgotten | frozenset(ids)
        if self.tensors and self.forgotten:
            keep = ~torch.isin(self.tensors["ids"], torch.tensor(sorted(self.forgotten)))
            self.tensors = {name: t[keep] for name, t in self.tensors.items()}

    def draw(self, n: int, generator: np.random.Generator) -> Tensor:
        """Positions of n random samples, (n,) int64: without repetition unless n exceeds the memory."""
        size = len(self)
        rounds = [generator.permutation(size) for _ in range(n // size)]
        rounds.append(generator.choice(size, n % size, replace=False, shuffle=False))
        return torch.from_numpy(np.concatenate(rounds))

    def shards(self) -> list[Shard]:
        """The memory by experience, oldest first."""
        return [self._shard(int(e)) for e in self.tensors["experiences"].unique()] if self.tensors else []

    def restore(self, shards: Iterable[Shard]) -> None:
        """Restore the memory from stored shards, each shortened to its lengths.

        Shards may be longer than their lengths, as they were when first stored. Each is cut when it comes, and what is
        left of all goes into the memory at once: the cost is that of the samples, however many shards hold them.
        """
        parts: list[tuple[int, dict[str, Tensor]]] = []
        taken: set[int] = set()
        for shard in shards:
            ids = shard.tensors["ids"]
            # A sample that is forgotten, or that an earlier shard holds, does not count for the length.
            fresh = self._fresh(ids)
            fresh = fresh[torch.tensor([id_ not in taken for id_ in ids[fresh].tolist()], dtype=torch.bool)]
            groups = self._groups(shard.tensors["targets"][fresh])
            keys = self._keys(shard.tensors)[fresh.numpy()]
            kept = [np.flatnonzero(groups == g)[np.argsort(keys[groups == g])][:n] for g, n in shard.lengths.items()]
            index = fresh[torch.from_numpy(np.concatenate([*kept, np.empty(0, dtype=np.int64)]))]
            taken.update(ids[index].tolist())
            parts.append((shard.experience, {name: t[index].cpu() for name, t in shard.tensors.items()}))
        for _, alike in groupby(parts, key=lambda part: part[1].keys()):
            self._take(list(alike))

    def _shard(self, experience: int) -> Shard:
        where = self.tensors["experiences"] == experience
        tensors = {name: t[where] for name, t in self.tensors.items() if name != "experiences"}
        groups, sizes = np.unique(self._groups(tensors["targets"]), return_counts=True)
        return Shard(experience, tensors, dict(zip(groups.tolist(), sizes.tolist(), strict=True)))

    def _groups(self, targets: Tensor) -> NDArray[np.str_]:
        if self.policy == "uniform":
            return np.full(len(targets), _EVERYTHING)
        return targets.numpy().astype(str)

    def _keys(self, tensors: Mapping[str, Tensor]) -> Keys:
        """The samples' keys, (n,): smaller ones stay."""
        return sample_keys(tensors["ids"], self.seed)

    def _bars_now(self) -> Keys:
        """The largest key that may get in: by class, and for all further classes in the last place."""
        highest, full = np.iinfo(np.uint64).max, len(self) >= self.capacity
        keys = self._keys(self.tensors)
        if self.policy == "uniform":
            return np.array([keys.max() if full else highest], dtype=np.uint64)
        classes = self.tensors["targets"].numpy()
        sizes = np.bincount(classes, minlength=int(classes.max()) + 2)
        largest = np.zeros(len(sizes), dtype=np.uint64)
        np.maximum.at(largest, classes, keys)
        bars = np.full(len(sizes), highest)
        if full:
            # A class may grow up to the size of the largest one; at that size, the keys decide.
            most = sizes.max()
            bars[sizes == most] = largest[sizes == most]
            bars[sizes == most - 1] = np.maximum(largest[sizes == most - 1], largest[sizes == most].max())
        if self.per_class is not None:
            bars[sizes >= self.per_class] = largest[sizes >= self.per_class]
        return bars

    def _choose(self, tensors: Mapping[str, Tensor]) -> Index:
        keys = self._keys(tensors)
        if self.policy == "uniform":
            return bottom_k(keys, self.capacity)
        return balanced_bottom_k(keys, tensors["targets"].numpy(), self.capacity, self.per_class)

    def _fresh(self, ids: Tensor) -> Tensor:
        """Positions of the first occurrence of each id that is neither held nor forgotten."""
        new = ids.numpy()
        first = np.sort(np.unique(new, return_index=True)[1])
        if self.forgotten:
            first = first[~np.isin(new[first], np.array(sorted(self.forgotten)))]
        if len(self):
            held = self.tensors["ids"].numpy()
            few = len(first) <= _FEW  # then comparing is faster than sorting
            known = (new[first, None] == held).any(1) if few else np.isin(new[first], held)
            first = first[~known]
        return torch.from_numpy(first)
