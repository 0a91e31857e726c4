"""The feature tokenizer and transformer for tables."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.features.column_layout import ColumnLayout
from pipelines.models.image_branches import ImageBranches
from pipelines.models.tabular_mlp import CategoryCodes
from pipelines.models.text_means import TextMeans


class FTTransformer(nn.Module):
    """A token for each column, and a transformer over them (Gorishniy et al. 2021, section 3.3).

    A number is a learned vector times its value plus a learned bias, a category a learned vector for each value, a text
    the mean of the learned vectors of its words, an image what a few convolutions make of it. The output is read from a
    token of its own; blocks normalise before attention and before the ReGLU layer.

    Args:
        input_shape: shape of one input.
        outputs: units of the head.
        layout: what the columns of the inputs are.
        width: numbers of a token.
        blocks: how many blocks of attention and a layer.
        heads: attention heads; must divide `width`.
        dropout: share of attention weights, and of the layers' hidden units, that is zeroed in training.
    """

    provided: ClassVar[frozenset[str]] = frozenset({"layout"})

    numbers: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        layout: ColumnLayout | None = None,
        width: Annotated[int, Field(ge=1)] = 64,
        blocks: Annotated[int, Field(ge=1)] = 3,
        heads: Annotated[int, Field(ge=1)] = 8,
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise PipelineError(f"model.heads: must divide width, which is {width}, got {heads}")
        layout = layout or ColumnLayout.plain(math.prod(input_shape))
        self.codes = CategoryCodes(layout)
        self.register_buffer("numbers", torch.tensor(layout.numbers, dtype=torch.int64), False)
        bound = 1 / math.sqrt(width)
        tokens = len(layout.numbers) + len(layout.categories) + len(layout.texts) + len(layout.images)
        self.scale = nn.Parameter(torch.empty(len(layout.numbers), width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(tokens, width).uniform_(-bound, bound))
        self.answer = nn.Parameter(torch.empty(1, width).uniform_(-bound, bound))
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for _, size in layout.categories)
        for table in self.embeddings:
            assert isinstance(table, nn.Embedding)
            nn.init.uniform_(table.weight, -bound, bound)
        self.texts = TextMeans(layout.texts, width)
        self.images = ImageBranches(layout.images, width)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) to (n, outputs)."""
        flat = (inputs if inputs.is_floating_point() else inputs.float()).flatten(1)
        codes = self.codes(flat)
        parts = [flat.index_select(1, self.numbers)[:, :, None] * self.scale]
        parts += [table(codes[:, place])[:, None] for place, table in enumerate(self.embeddings)]
        parts += [vectors[:, None] for vectors in (*self.texts(flat), *self.images(flat))]
        tokens = torch.cat(parts, dim=1) + self.bias
        tokens = torch.cat([self.answer.expand(flat.shape[0], 1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        result: Tensor = self.head(F.relu(self.norm(tokens[:, 0])))
        return result


class _Block(nn.Module):
    """Attention and a ReGLU layer, each with a normalisation before and a residual connection around it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        hidden = max(1, width * 4 // 3)
        self.gate = nn.Linear(width, 2 * hidden)
        self.out = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, tokens, width) to the same shape."""
        n, count, width = tokens.shape
        joined = self.query_key_value(self.norms[0](tokens)).view(n, count, 3, self.heads, width // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4).unbind(0)
        share = (query @ key.transpose(2, 3) / math.sqrt(width // self.heads)).softmax(dim=3)
        share = F.dropout(share, self.dropout, self.training)
        tokens = tokens + self.mix((share @ value).transpose(1, 2).reshape(n, count, width))
        first, second = self.gate(self.norms[1](tokens)).chunk(2, dim=2)
        hidden = F.dropout(first * F.relu(second), self.dropout, self.training)
        result: Tensor = tokens + self.out(hidden)
        return result
