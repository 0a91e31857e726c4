"""Inputs as images."""

from __future__ import annotations

import pytest
import torch

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.image_inputs import as_images, image_shape


def test_inputs_without_channels_have_one() -> None:
    assert image_shape((8, 9), "cnn") == (1, 8, 9)
    assert image_shape((3, 8, 9), "cnn") == (3, 8, 9)
    assert as_images(torch.zeros(2, 8, 9)).shape == (2, 1, 8, 9)
    assert as_images(torch.zeros(2, 3, 8, 9, dtype=torch.int64)).dtype == torch.float32


def test_images_with_channels_last_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"32x32x3 would be read as 32 channels of 32x3.*channels: last"):
        image_shape((32, 32, 3), "cnn")


def test_other_inputs_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"model: cnn takes images .* has shape \(5,\)"):
        image_shape((5,), "cnn")
