"""The multi-layer perceptron for tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.data.features.column_layout import ColumnLayout
from pipelines.models.image_branches import ImageBranches
from pipelines.models.text_means import TextMeans


class CategoryCodes(nn.Module):
    """Takes the codes of categories out of the inputs of a table.

    Args:
        layout: what the columns of the inputs are.
    """

    positions: Tensor
    highest: Tensor

    def __init__(self, layout: ColumnLayout) -> None:
        super().__init__()
        # Not in the state: the layout of the data says them.
        self.register_buffer("positions", torch.tensor([p for p, _ in layout.categories], dtype=torch.int64), False)
        self.register_buffer("highest", torch.tensor([s - 1 for _, s in layout.categories]), False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, d) float to the codes, (n, categories) int64; what is no code becomes the nearest one."""
        codes = inputs.index_select(1, self.positions).round().long()
        return torch.minimum(codes.clamp(min=0), self.highest)


class TabularMLP(nn.Module):
    """Fully connected layers on the columns of a table: numbers, learned vectors of categories and words, and images.

    A category is the vector of its value, a text the mean of the vectors of its words, an image what a few convolutions
    make of it. Each hidden layer is followed by
    layer normalisation (Ba et al. 2016), ReLU and dropout. Without `features` in the dataset all inputs are numbers.

    Args:
        input_shape: shape of one input.
        outputs: units of the head.
        layout: what the columns of the inputs are.
        hidden: units of each hidden layer.
        embedding: numbers of a category's vector; a category of fewer values has as many as it has values at most.
        word_embedding: numbers of a word's vector.
        image_embedding: numbers of an image's vector.
        dropout: share of each hidden layer's outputs that is zeroed in training.
        layer_norm: whether hidden layers are normalised.
    """

    provided: ClassVar[frozenset[str]] = frozenset({"layout"})

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        layout: ColumnLayout | None = None,
        hidden: Annotated[Sequence[Annotated[int, Field(ge=1)]], Field(min_length=1)] = (128, 64),
        embedding: Annotated[int, Field(ge=1)] = 16,
        word_embedding: Annotated[int, Field(ge=1)] = 32,
        image_embedding: Annotated[int, Field(ge=1)] = 64,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
        layer_norm: bool = True,
    ) -> None:
        super().__init__()
        layout = layout or ColumnLayout.plain(math.prod(input_shape))
        self.codes = CategoryCodes(layout)
        self.register_buffer("numbers", torch.tensor(layout.numbers, dtype=torch.int64), False)
        sizes = [size for _, size in layout.categories]
        self.embeddings = nn.ModuleList(nn.Embedding(size, min(embedding, size)) for size in sizes)
        for table in self.embeddings:
            assert isinstance(table, nn.Embedding)
            # Values that experience 0 lacks have no direction before they are learned.
            nn.init.zeros_(table.weight[:2])
        self.texts = TextMeans(layout.texts, word_embedding)
        self.images = ImageBranches(layout.images, image_embedding)
        width = len(layout.numbers) + sum(min(embedding, size) for size in sizes)
        width += word_embedding * len(layout.texts) + image_embedding * len(layout.images)
        layers: list[nn.Module] = []
        for units in hidden:
            layers.append(nn.Linear(width, units))
            if layer_norm:
                layers.append(nn.LayerNorm(units))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = units
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, outputs)

    numbers: Tensor

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) to (n, outputs)."""
        flat = (inputs if inputs.is_floating_point() else inputs.float()).flatten(1)
        codes = self.codes(flat)
        parts = [flat.index_select(1, self.numbers)]
        parts += [table(codes[:, place]) for place, table in enumerate(self.embeddings)]
        parts += self.texts(flat)
        parts += self.images(flat)
        result: Tensor = self.head(self.body(torch.cat(parts, dim=1)))
        return result
