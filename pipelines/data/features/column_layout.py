"""The columns of a model's inputs: which are codes of categories, and of how many; and which are images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class TextColumns(NamedTuple):
    """The columns of a text, which are codes of its words: 0 behind its end, 1 an unknown word.

    Attributes:
        start: position of the first.
        length: how many.
        size: codes are the whole numbers 0 to size - 1.
    """

    start: int
    length: int
    size: int


class ImageColumns(NamedTuple):
    """The columns of an image, which are its pixels: channel by channel, row by row.

    Attributes:
        start: position of the first.
        channels: 1 or 3.
        height, width: in pixels.
    """

    start: int
    channels: int
    height: int
    width: int

    @property
    def length(self) -> int:
        """How many columns."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class ColumnLayout:
    """The columns of an input of shape (d,).

    Attributes:
        names: what each of the d columns is, for people.
        categories: (position, size) of each column of codes, which are the whole numbers 0 to size - 1: 0 is an unknown
            value, 1 a missing one.
        texts: the columns of each text.
        images: the columns of each image. All other columns are numbers.
    """

    names: tuple[str, ...]
    categories: tuple[tuple[int, int], ...] = ()
    texts: tuple[TextColumns, ...] = ()
    images: tuple[ImageColumns, ...] = ()

    @classmethod
    def plain(cls, width: int) -> ColumnLayout:
        """`width` columns of numbers without names."""
        return cls(tuple(str(position) for position in range(width)))

    @property
    def numbers(self) -> tuple[int, ...]:
        """Positions of the columns that are numbers."""
        codes = {position for position, _ in self.categories}
        blocks: tuple[TextColumns | ImageColumns, ...] = (*self.texts, *self.images)
        for block in blocks:
            codes.update(range(block.start, block.start + block.length))
        return tuple(position for position in range(len(self.names)) if position not in codes)
