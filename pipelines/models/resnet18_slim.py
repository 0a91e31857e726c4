"""The reduced ResNet-18 of the continual-learning papers."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipelines.models.image_inputs import as_images, image_shape


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, Deep residual learning)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(inputs)))))
        return F.relu(inner + self.shortcut(inputs))


class ResNet18Slim(nn.Module):
    """Reduced ResNet-18 of the continual-learning papers: 20 filters, 1.1 million weights.

    Lopez-Paz & Ranzato 2017, Gradient episodic memory (arXiv:1706.08840): a first convolution of 3x3 without pooling,
    for small images. 1,094,750 parameters for images of 3x32x32 and 10 outputs.

    Args:
        input_shape: (channels, height, width) or (height, width).
        outputs: units of the head.
        filters: filters of the first stage; doubled in each of the three others.
    """

    def __init__(
        self, input_shape: tuple[int, ...], outputs: int, *, filters: Annotated[int, Field(ge=1)] = 20
    ) -> None:
        super().__init__()
        depth, _, _ = image_shape(input_shape, "resnet18-slim")
        self.conv1 = nn.Conv2d(depth, filters, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        blocks: list[nn.Module] = []
        depth = filters
        for stage in range(4):
            width = filters * 2**stage
            blocks += [_Block(depth, width, stride=1 if stage == 0 else 2), _Block(width, width, stride=1)]
            depth = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(depth, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) to (n, outputs)."""
        features = self.blocks(F.relu(self.bn1(self.conv1(as_images(inputs)))))
        result: Tensor = self.head(features.mean(dim=(2, 3)))
        return result
