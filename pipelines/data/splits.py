"""Which classes make up which experience."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from pipelines.config.pipeline_errors import DataError
from pipelines.config.suggest import did_you_mean

Classes = tuple[int, ...]


def even_split(classes: Sequence[int], experiences: int) -> list[Classes]:
    """The classes, in the given order, in `experiences` runs; if they do not divide evenly, the first have one more.

    Raises:
        DataError: more experiences than classes, or no experiences.
    """
    if experiences < 1:
        raise DataError(f"stream.experiences: must be at least 1, got {experiences}")
    if experiences > len(classes):
        has = "1 class" if len(classes) == 1 else f"{len(classes)} classes"
        raise DataError(
            f"stream.experiences: {experiences} experiences, but the dataset has only {has}. If each experience is to "
            "have all classes (domains), give the data in experiences: a folder with one file for each, one file that "
            "a column divides (dataset.by), or a function that returns a list with (train, test) of each; or name a "
            "stream.transform"
        )
    size, more = divmod(len(classes), experiences)
    bounds = [i * size + min(i, more) for i in range(experiences + 1)]
    return [tuple(classes[start:end]) for start, end in pairwise(bounds)]


def numbered(order: Sequence[Sequence[int | str]], classes: int, names: Sequence[str] | None = None) -> list[list[int]]:
    """The class lists of the pipeline file as class numbers. Text is the name of a class, or its number in quotes.

    Numbers of which one is no class number are the labels in the data, where all of them are.

    Raises:
        DataError: no class has such a name.
    """
    known = {name: number for number, name in enumerate(map(str, range(classes)) if names is None else names)}
    numbers = [label for group in order for label in group if not isinstance(label, str)]
    if any(not 0 <= number < classes for number in numbers) and all(str(number) in known for number in numbers):
        order = [[str(label) for label in group] for group in order]
    wrong = [
        f"stream.order.{index}: no class is called {name!r}"
        + (f", did you mean {close!r}?" if (close := did_you_mean(name, known)) else f": {_listed(list(known))}")
        for index, group in enumerate(order)
        for name in group
        if isinstance(name, str) and name not in known
    ]
    if wrong:
        raise DataError(wrong)
    return [[known[name] if isinstance(name, str) else name for name in group] for group in order]


def _listed(names: Sequence[str]) -> str:
    return f"they are {', '.join(names[:10])}" + (", ..." if len(names) > 10 else "")


def shuffled(count: int, seed: int) -> list[int]:
    """A seeded permutation of 0..count-1, the same on every machine and with every version of numpy."""
    return [int(i) for i in seeded(seed, "order").permutation(count)]


def explicit_split(order: Sequence[Sequence[int]], classes: int, experiences: int | None) -> list[Classes]:
    """The class lists of the pipeline file: the first `experiences` of them, or all.

    Raises:
        DataError: an empty list, a class that does not exist, a class in two experiences, too few lists.
    """
    problems: list[str] = []
    owner: dict[int, int] = {}
    for index, group in enumerate(order):
        if not group:
            problems.append(f"stream.order.{index}: the experience has no classes")
        for number in group:
            if not 0 <= number < classes:
                problems.append(f"stream.order.{index}: no class {number} exists: they are 0 to {classes - 1}")
            elif number in owner:
                where = "twice" if owner[number] == index else f"also in experience {owner[number]}"
                problems.append(f"stream.order.{index}: class {number} is {where}; a class belongs to one experience")
            owner.setdefault(number, index)
    if experiences is not None and not 1 <= experiences <= len(order):
        problems.append(f"stream.experiences: {experiences} experiences, but stream.order lists {len(order)}")
    if problems:
        raise DataError(problems)
    return [tuple(int(number) for number in group) for group in order[:experiences]]


def seeded(seed: int, purpose: str) -> np.random.RandomState:
    """A separate generator for each purpose.

    RandomState, because numpy guarantees that its numbers never change (NEP 19), and fingerprints depend on them.
    """
    words = np.frombuffer(hashlib.sha256(f"{purpose}:{seed}".encode()).digest(), dtype="<u4")
    return np.random.RandomState(words)
