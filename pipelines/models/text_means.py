"""Texts of a table as vectors: the mean of learned vectors of their words."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pipelines.data.features.column_layout import TextColumns


class TextMeans(nn.Module):
    """The mean over the words of each text (Iyyer et al. 2015, Deep unordered composition); zeros for an empty one.

    Args:
        texts: the columns of each text.
        width: numbers of a word's vector.
    """

    def __init__(self, texts: Sequence[TextColumns], width: int) -> None:
        super().__init__()
        self.texts = tuple(texts)
        self.tables = nn.ModuleList(nn.Embedding(text.size, width) for text in texts)
        for table in self.tables:
            assert isinstance(table, nn.Embedding)
            # Other words have no direction before they are learned.
            nn.init.zeros_(table.weight[:2])

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """(n, d) float to (n, width) for each text."""
        found = []
        for text, table in zip(self.texts, self.tables, strict=True):
            codes = inputs[:, text.start : text.start + text.length].round().long().clamp(0, text.size - 1)
            there = (codes > 0).to(inputs.dtype)[:, :, None]
            vectors = table(codes)
            found.append((vectors * there).sum(1) / there.sum(1).clamp(min=1))
        return found
