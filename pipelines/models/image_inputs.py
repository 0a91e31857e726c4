"""Inputs as images."""

from __future__ import annotations

from torch import Tensor

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.datasets.image_layout import refuse_channels_last


def image_shape(input_shape: tuple[int, ...], model: str) -> tuple[int, int, int]:
    """(channels, height, width); an input without channels has one.

    Raises:
        PipelineError: the inputs are no images, or look like images with their channels last.
    """
    refuse_channels_last(input_shape, f"model: {model} takes images (channels, height, width)")
    if len(input_shape) == 2:
        return (1, *input_shape)
    if len(input_shape) == 3:
        return input_shape
    raise PipelineError(
        f"model: {model} takes images (channels, height, width), but an input of the dataset has shape {input_shape}; "
        "use mlp, or reshape the inputs"
    )


def as_images(inputs: Tensor) -> Tensor:
    """Inputs (n, [channels,] height, width) as float (n, channels, height, width)."""
    if inputs.dim() == 3:
        inputs = inputs.unsqueeze(1)
    return inputs if inputs.is_floating_point() else inputs.float()
