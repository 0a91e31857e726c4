"""ResNet-18 with the names of torchvision's parameters."""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.image_inputs import as_images, image_shape

_SMALLEST = 64
"""Pixels of the shorter side from which on `stem: auto` is that of ImageNet."""


class _BasicBlock(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        beside = inputs if self.downsample is None else self.downsample(inputs)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(inputs))))) + beside)


class ResNet18(nn.Module):
    """ResNet-18 (He et al. 2016): 64 filters, 11.2 million weights; for images of 32x32 and larger.

    Parameters have the names and shapes of torchvision's resnet18. Its weights fit where the stem is that of ImageNet,
    images have three channels and there are 1000 outputs; else the layers that differ have to be left out. Batch
    normalisation is over the batch of all workers.

    Args:
        input_shape: (channels, height, width) or (height, width).
        outputs: units of the head, `fc`.
        stem: `imagenet`: a convolution of 7x7 with stride 2, and pooling; `small`: a convolution of 3x3, as is usual
            for images of 32x32. `auto`: `imagenet` for images of 64x64 and larger.
        filters: filters of the first stage; doubled in each of the three others.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        stem: Literal["auto", "imagenet", "small"] = "auto",
        filters: Annotated[int, Field(ge=1)] = 64,
    ) -> None:
        super().__init__()
        depth, height, width = image_shape(input_shape, "resnet18")
        large = min(height, width) >= _SMALLEST if stem == "auto" else stem == "imagenet"
        if large and min(height, width) < 32:
            raise PipelineError(
                f"model: resnet18 with stem: imagenet halves an image five times, and {height}x{width} is too small: "
                "set model.stem: small"
            )
        self.large = large
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(depth, filters, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.layer1 = _stage(filters, filters, stride=1)
        self.layer2 = _stage(filters, 2 * filters, stride=2)
        self.layer3 = _stage(2 * filters, 4 * filters, stride=2)
        self.layer4 = _stage(4 * filters, 8 * filters, stride=2)
        self.fc = nn.Linear(8 * filters, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *input_shape) to (n, outputs)."""
        features = F.relu(self.bn1(self.conv1(as_images(inputs))))
        if self.large:
            features = F.max_pool2d(features, 3, 2, padding=1)
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        result: Tensor = self.fc(features.mean(dim=(2, 3)))
        return result


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_BasicBlock(inputs, outputs, stride), _BasicBlock(outputs, outputs, 1))
