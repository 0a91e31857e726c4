"""The reduced ResNet-18."""

from __future__ import annotations

import pytest
import torch

from pipelines.models.resnet18_slim import ResNet18Slim


def test_the_published_size() -> None:
    assert sum(p.numel() for p in ResNet18Slim((3, 32, 32), 10).parameters()) == 1_094_750


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (28, 28), (1, 8, 8)])
def test_shapes(shape: tuple[int, ...]) -> None:
    model = ResNet18Slim(shape, 7, filters=4)
    assert model(torch.rand(2, *shape)).shape == (2, 7)


def test_its_stages_halve_the_image() -> None:
    model = ResNet18Slim((3, 32, 32), 10).eval()
    assert model.blocks(torch.rand(1, 20, 32, 32)).shape == (1, 160, 4, 4)
