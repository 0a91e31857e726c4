"""A column of text as codes of its words."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipelines.data.features.feature_columns import Kind

PADDING, OTHER, FIRST_WORD = 0, 1, 2
"""Codes of a text: behind its end, of a word that the vocabulary lacks, and of the first word."""

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


def words_of(text: str) -> list[str]:
    """The words and signs of a text, in lower case."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@dataclass(frozen=True)
class Text:
    """A text as the codes of its first words: the place in the vocabulary + 2, 1 for other words, 0 behind its end.

    Attributes:
        name: of the column.
        words_known: the vocabulary, sorted: the words of experience 0; only the most frequent where it has more.
        length: words of a text; further ones are cut.
    """

    kind: ClassVar[Kind] = "text"

    name: str
    words_known: tuple[str, ...]
    length: int

    @classmethod
    def fit(cls, name: str, values: NDArray[Any], vocabulary: int, length: int = 64) -> Text:
        return cls.of_counts(
            name, Counter(word for text in filled(values) for word in words_of(text)), vocabulary, length
        )

    @classmethod
    def of_counts(cls, name: str, counts: Counter[str], vocabulary: int, length: int) -> Text:
        """Fitted on texts of which it is known how often each word occurs."""
        often = sorted(counts, key=lambda word: (-counts[word], word))[:vocabulary]
        return cls(name, tuple(sorted(often)), length)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.name} word {place}" for place in range(self.length))

    @property
    def size(self) -> int | None:
        return None

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return FIRST_WORD + len(self.words_known)

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        known = {word: FIRST_WORD + place for place, word in enumerate(self.words_known)}
        found = np.full((len(values), self.length), PADDING, dtype=np.float64)
        for row, text in enumerate(values.tolist()):
            codes = [known.get(word, OTHER) for word in words_of(text or "")[: self.length]]
            found[row, : len(codes)] = codes
        return found

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "values": list(self.words_known), "length": self.length}

    @classmethod
    def read(cls, document: dict[str, Any]) -> Text:
        return cls(str(document["name"]), tuple(map(str, document["values"])), int(document["length"]))

    @property
    def words(self) -> str:
        return f"codes of its first {self.length} words; the vocabulary has {len(self.words_known):,}"


def filled(values: NDArray[Any]) -> Iterable[str]:
    """The texts that are not missing."""
    return (text for text in values.tolist() if text is not None)
