"""Labels and ids of a file as numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.pipeline_errors import DataError

Classes = int | Sequence[int | str] | None
"""How many classes (labels are 0, 1, ...), or the labels in the order of the classes, or None: from the data."""

_LISTED = 10
_LATE = 3
_MOST_UNITS = 10_000
_MOST_UNITS_A_CLASS = 10


@dataclass(frozen=True)
class LabelMap:
    """From labels to class numbers.

    Attributes:
        count: of classes.
        values: the label of each class; None: labels are class numbers.
        warnings: what a person should know of the labels, a line each.
        booleans: the labels are false and true, and their numbers 0 and 1.
        late: labels that the first file lacks, with the first file that has each.
    """

    count: int
    values: tuple[int | str, ...] | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    booleans: bool = field(default=False, compare=False)
    late: tuple[tuple[int | str, str], ...] = field(default=(), compare=False)

    def late_warnings(self, first: str) -> tuple[str, ...]:
        """A warning about classes that the first file lacks, for where each experience should have all of them.

        Args:
            first: the file.
        """
        if not self.late:
            return ()
        listed = ", ".join(f"{label!r} (from {where} on)" for label, where in self.late[:_LATE])
        more = ", ..." if len(self.late) > _LATE else ""
        has = "label that {} lacks is a class" if len(self.late) == 1 else "labels that {} lacks are classes"
        return (
            f"{len(self.late)} {has.format(first)}: {listed}{more}. If it is a mistake, correct it; else list the "
            "labels that there will be, in dataset.classes",
        )

    @property
    def names(self) -> tuple[str, ...] | None:
        """The name of each class; None: classes are called by their numbers."""
        if self.booleans and self.values is None and self.count <= 2:
            return ("false", "true")[: self.count]
        return None if self.values is None else tuple(map(str, self.values))

    def numbers(self, labels: NDArray[Any], where: str) -> NDArray[np.int64]:
        """Class numbers of labels, (n,).

        Raises:
            DataError: a label is none of the classes; the message names the label, its row and the file.
        """
        if len(labels) == 0:
            return np.zeros(0, dtype=np.int64)
        plain = plain_labels(labels, where)
        if self.values is None:
            if plain.dtype.kind != "i":
                raise DataError(
                    f"{where}: label {plain.tolist()[0]!r} in row 0 does not fit: with {self.count} classes labels are "
                    f"0 to {self.count - 1}; give the labels themselves: classes: [...]"
                )
            wrong = np.flatnonzero((plain < 0) | (plain >= self.count))
            found = plain
        else:
            order = {value: number for number, value in enumerate(self.values)}
            found = np.array([order.get(label, -1) for label in plain.tolist()], dtype=np.int64)
            wrong = np.flatnonzero(found < 0)
        if len(wrong):
            allowed = f"0 to {self.count - 1}" if self.values is None else ", ".join(map(str, self.values[:10]))
            more = ", ..." if self.values is not None and len(self.values) > 10 else ""
            raise DataError(
                f"{where}: label {plain.tolist()[wrong[0]]!r} in row {wrong[0]} does not fit: "
                f"the {self.count} classes are {allowed}{more} ({len(wrong)} such rows)"
            )
        return found.astype(np.int64)


def label_map(classes: Classes, found: Iterable[tuple[NDArray[Any], str]], *, sparse: bool = False) -> LabelMap:
    """The classes of a dataset.

    Args:
        classes: as in the pipeline file.
        found: all labels, with their files; read only if `classes` does not list the labels.
        sparse: numbers that do not run from 0 without gaps are the names of classes; else classes are counted from 0
            to the highest.

    Raises:
        DataError: labels of different kinds, negative labels, no labels, a class listed twice, or numbers so far apart
            that nearly all units of the head would have no class.
    """
    if isinstance(classes, int):
        return LabelMap(classes)
    if classes is not None:
        if len(set(classes)) != len(classes):
            raise DataError("classes: a label is listed twice")
        return LabelMap(len(classes), tuple(classes))
    numbers, words, booleans, first = set[int](), set[str](), True, None
    late: list[tuple[int | str, str]] = []
    for labels, where in found:
        first = first or where
        plain = plain_labels(labels, where)
        if len(plain) == 0:
            continue
        booleans &= labels.dtype.kind == "b"
        if words or numbers:
            late += [(label, where) for label in np.unique(plain).tolist() if label not in words | numbers]
        if plain.dtype.kind == "i":
            if plain.min() < 0 and not sparse:
                row = int(plain.argmin())
                raise DataError(f"{where}: label {plain[row]} in row {row} does not fit: labels must not be negative")
            numbers.update(np.unique(plain).tolist())
        else:
            words.update(plain.tolist())
        if words and numbers:
            raise DataError(f"{where}: some labels are numbers and some are text, such as {min(words)!r}")
    if not words and not numbers:
        raise DataError(f"{first or 'the dataset'}: the data has no labels at all: there are no rows")
    if words:
        return LabelMap(len(words), tuple(sorted(words)), late=tuple(late))
    if sparse and (len(numbers) != max(numbers) + 1 or min(numbers) < 0) and not booleans:
        return LabelMap(len(numbers), tuple(sorted(numbers)), late=tuple(late))
    return LabelMap(max(numbers) + 1, warnings=gap_warnings(numbers), booleans=booleans, late=tuple(late))


def gap_warnings(numbers: Collection[int], where: str = "", remedy: str = "") -> tuple[str, ...]:
    """A warning about classes below the highest that do not occur: the model's head has units for them all the same.

    Args:
        numbers: the different labels, not negative, at least one.
        where: name of the dataset.
        remedy: what to do; by default the labels are to be listed.

    Raises:
        DataError: nearly all units would have no class.
    """
    units, found = max(numbers) + 1, sorted(numbers)
    if units == len(found):
        return ()
    listed = ", ".join(map(str, found[:_LISTED])) + (", ..." if len(found) > _LISTED else "")
    absurd = units > _MOST_UNITS and units > _MOST_UNITS_A_CLASS * len(found)
    has = "would have" if absurd else "has"
    text = (
        f"{where + ': ' if where else ''}the labels are {listed}: {len(found)} classes, but the model's head {has} "
        f"{units:,} units, for 0 to {units - 1}. "
        + (remedy or f"List the labels that there will be, in dataset.classes: [{listed}]")
    )
    if absurd:
        raise DataError(text)
    return (text,)


def id_numbers(ids: NDArray[Any], where: str, section: str = "dataset") -> NDArray[np.int64]:
    """Ids, (n,): integers as they are, text by the first 8 bytes of its BLAKE2b as a signed number.

    Args:
        where, section: the file, and the section of the pipeline file that names its columns: for messages.

    Raises:
        DataError: ids of another kind, or an id that occurs twice.
    """
    if ids.ndim != 1 or ids.dtype.kind not in "iuUSO":
        raise DataError(f"{where}: ids must be whole numbers or text, got {ids.dtype} of shape {ids.shape}")
    if ids.dtype.kind in "iu":
        numbers = ids.astype(np.int64)
    else:
        digests = b"".join(hashlib.blake2b(_bytes(value), digest_size=8).digest() for value in ids.tolist())
        numbers = np.frombuffer(digests, dtype="<i8").astype(np.int64)
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    if (counts > 1).any():
        rows = np.flatnonzero(numbers == numbers[first[counts > 1][0]])
        raise DataError(
            f"{where}: id {ids.tolist()[rows[0]]!r} occurs more than once: in rows {rows[0]} and {rows[1]}. "
            f"Make the ids different, or leave out {section}.id"
        )
    return numbers


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def plain_labels(labels: NDArray[Any], where: str) -> NDArray[Any]:
    """Labels (n,) as int64 or as text."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{where}: labels must have shape (n,), got {labels.shape}; several columns are for objective: regression "
            "or objective: multi-label"
        )
    kind = labels.dtype.kind
    if kind in "ib":
        return labels.astype(np.int64)
    if kind in "uf":
        whole = labels.astype(np.int64) if kind == "u" else np.nan_to_num(labels).astype(np.int64)
        wrong = np.flatnonzero(whole != labels)
        if len(wrong):
            raise DataError(
                f"{where}: label {labels[wrong[0]]} in row {wrong[0]} does not fit: not a whole number; "
                "objective: regression learns numbers"
            )
        return whole
    if kind == "S":
        return np.char.decode(labels, "utf-8", "replace")
    if kind in "UO":
        for row, value in enumerate(labels.tolist()):
            if not isinstance(value, str):
                raise DataError(f"{where}: label {value!r} in row {row} does not fit: labels are whole numbers or text")
        return labels
    raise DataError(f"{where}: labels must be whole numbers or text, got {labels.dtype}")
