"""A small convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipelines.models.image_inputs import as_images, image_shape


class CNN(nn.Module):
    """Convolutions of 3x3, each halving the image, and a hidden layer; for images of 8x8 to about 64x64.

    No normalisation, so that samples do not depend on each other.

    Args:
        input_shape: (channels, height, width) or (height, width).
        outputs: units of the head.
        channels: output channels of each convolution.
        hidden: units of the layer between the convolutions and the head.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        channels: Annotated[Sequence[Annotated[int, Field(ge=1)]], Field(min_length=1)] = (32, 64),
        hidden: Annotated[int, Field(ge=1)] = 128,
    ) -> None:
        super().__init__()
        depth, height, width = image_shape(input_shape, "cnn")
        layers: list[nn.Module] = []
        for channel in channels:
            layers.append(nn.Conv2d(depth, channel, kernel_size=3, padding=1))
            depth, height, width = channel, (height + 1) // 2, (width + 1) // 2
        self.convolutions = nn.ModuleList(layers)
        self.hidden = nn.Linear(depth * height * width, hidden)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) to (n, outputs)."""
        features = as_images(inputs)
        for convolution in self.convolutions:
            features = F.max_pool2d(F.relu(convolution(features)), kernel_size=2, ceil_mode=True)
        result: Tensor = self.head(F.relu(self.hidden(features.flatten(1))))
        return result
