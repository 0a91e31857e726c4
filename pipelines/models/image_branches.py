"""Images of a table as vectors: what a few convolutions make of each."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.data.features.column_layout import ImageColumns

_FIRST, _MOST = 16, 64
_SIDE = 4
"""Convolutions halve an image until it is at most this many pixels high and wide."""


class ImageBranches(nn.Module):
    """For each image convolutions of 3x3, each halving it, and a layer. Images share no weights.

    Convolutions have 16, 32 and then 64 channels. There is no normalisation, so that samples do not depend on each
    other.

    Args:
        images: the columns of each image.
        width: numbers of an image's vector.
    """

    def __init__(self, images: Sequence[ImageColumns], width: int) -> None:
        super().__init__()
        self.places = tuple(images)
        self.branches = nn.ModuleList(_Branch(image, width) for image in images)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """(n, d) float to (n, width) for each image."""
        found = []
        for image, branch in zip(self.places, self.branches, strict=True):
            pixels = inputs[:, image.start : image.start + image.length]
            found.append(branch(pixels.reshape(-1, image.channels, image.height, image.width)))
        return found


class _Branch(nn.Module):
    def __init__(self, image: ImageColumns, width: int) -> None:
        super().__init__()
        depth, height, side = image.channels, image.height, image.width
        layers: list[nn.Module] = []
        while not layers or max(height, side) > _SIDE:
            channels = min(_FIRST << len(layers), _MOST)
            layers.append(nn.Conv2d(depth, channels, kernel_size=3, padding=1))
            depth, height, side = channels, (height + 1) // 2, (side + 1) // 2
        self.convolutions = nn.ModuleList(layers)
        self.out = nn.Linear(depth * height * side, width)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, channels, height, width) to (n, width)."""
        for convolution in self.convolutions:
            pixels = F.max_pool2d(F.relu(convolution(pixels)), kernel_size=2, ceil_mode=True)
        result: Tensor = self.out(pixels.flatten(1))
        return result
