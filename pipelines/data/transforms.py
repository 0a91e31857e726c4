"""What changes from one experience to the next in a stream over one dataset: permuted or rotated inputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.config.pipeline_errors import DataError
from pipelines.data.datasets.image_layout import refuse_channels_last
from pipelines.data.splits import seeded


class Transform(Protocol):
    """A fixed function of inputs; it keeps their shape and dtype."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Inputs (m, *shape) in their stored dtype."""
        ...

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters of the function, for fingerprints (JSON)."""
        ...


@dataclass(frozen=True)
class Permute:
    """Pixels in another order (Goodfellow et al. 2014; Kirkpatrick et al. 2017: Permuted MNIST).

    The channels of a pixel move together.

    Attributes:
        order: at place p of the output is what was at order[p], row by row.
    """

    order: tuple[int, ...]

    def __call__(self, inputs: Tensor) -> Tensor:
        channels = inputs.shape[1] if inputs.dim() == 4 else 1
        flat = inputs.reshape(inputs.shape[0], channels, len(self.order))
        return flat.index_select(2, torch.tensor(self.order)).reshape(inputs.shape)

    @property
    def parameters(self) -> dict[str, Any]:
        order = np.array(self.order, dtype="<i8").tobytes()
        return {"name": "permute", "order": hashlib.sha256(order).hexdigest()}


@dataclass(frozen=True)
class Rotate:
    """Images rotated about their centre (Lopez-Paz & Ranzato 2017: Rotated MNIST).

    Bilinear, zeros outside; integers are rounded back to their dtype.

    Attributes:
        degrees: anticlockwise.
    """

    degrees: float

    def __call__(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[-2:]
        angle = math.radians(self.degrees)
        y = torch.arange(height, dtype=torch.float64).unsqueeze(1) - (height - 1) / 2
        x = torch.arange(width, dtype=torch.float64).unsqueeze(0) - (width - 1) / 2
        source_x = x * math.cos(angle) - y * math.sin(angle)
        source_y = x * math.sin(angle) + y * math.cos(angle)
        grid = torch.stack([2 * source_x / max(width - 1, 1), 2 * source_y / max(height - 1, 1)], dim=-1)
        # Samples take the place of channels: all share one grid, whose weights are then computed once.
        images = inputs.reshape(1, -1, height, width).float()
        turned = F.grid_sample(images, grid.float().unsqueeze(0), mode="bilinear", align_corners=True)
        if not inputs.is_floating_point():
            limits = torch.iinfo(inputs.dtype)
            turned = turned.round_().clamp_(limits.min, limits.max)
        return turned.to(inputs.dtype).reshape(inputs.shape)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"name": "rotate", "degrees": self.degrees}


def permutations(experiences: int, seed: int, input_shape: tuple[int, ...]) -> list[Transform | None]:
    """A seeded permutation for each experience; the first experience has the inputs unchanged.

    A longer stream begins with the same permutations.
    """
    refuse_channels_last(input_shape, "stream.transform: permute")
    pixels = math.prod(input_shape[1:] if len(input_shape) == 3 else input_shape)
    orders = (seeded(seed, f"permute {index}").permutation(pixels) for index in range(1, experiences))
    return [None, *(Permute(tuple(int(i) for i in order)) for order in orders)]


def rotations(
    experiences: int, seed: int, input_shape: tuple[int, ...], degrees: float | Sequence[float] | None = None
) -> list[Transform | None]:
    """A rotation for each experience; 0 degrees leaves the inputs unchanged.

    Args:
        degrees: the angle of each experience; or one number, the last experience's, with the others spread evenly from
            0 on (a longer stream then turns all but the first differently); or None: the first experience is not
            turned, the others by a seeded angle in [0, 180), and a longer stream begins with the same angles.

    Raises:
        DataError: inputs are not images, or there are fewer angles than experiences.
    """
    if len(input_shape) < 2:
        raise DataError(f"stream.transform: rotate needs images, but an input of the dataset has shape {input_shape}")
    refuse_channels_last(input_shape, "stream.transform: rotate")
    if degrees is None:
        later = [float(seeded(seed, f"rotate {index}").uniform(0, 180)) for index in range(1, experiences)]
        angles = [0.0, *later]
    elif isinstance(degrees, int | float):
        angles = [degrees * index / max(experiences - 1, 1) for index in range(experiences)]
    else:
        angles = [float(angle) for angle in degrees]
        if len(angles) < experiences:
            raise DataError(f"stream.transform.degrees: {len(angles)} angles for {experiences} experiences")
    if not all(math.isfinite(angle) for angle in angles):
        raise DataError("stream.transform.degrees: angles must be finite numbers")
    return [Rotate(angle) if angle % 360 else None for angle in angles[:experiences]]


TRANSFORMS: Mapping[str, Callable[..., list[Transform | None]]] = {"permute": permutations, "rotate": rotations}
