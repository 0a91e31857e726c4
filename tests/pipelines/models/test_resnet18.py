"""ResNet-18: the published sizes, and the names and shapes of torchvision's state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.resnet18 import ResNet18


def test_names_shapes_and_number_of_parameters_are_those_of_torchvision() -> None:
    with torch.device("meta"):
        model = ResNet18((3, 224, 224), 1000)
    state = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_689_512
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {"conv1.weight": (64, 3, 7, 7), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    norms = {"bn1": 64}
    before = 64
    for layer in range(1, 5):
        width = 64 * 2 ** (layer - 1)
        for block in range(2):
            at = f"layer{layer}.{block}"
            expected[f"{at}.conv1.weight"] = (width, before, 3, 3)
            expected[f"{at}.conv2.weight"] = (width, width, 3, 3)
            norms |= {f"{at}.bn1": width, f"{at}.bn2": width}
            if before != width:
                expected[f"{at}.downsample.0.weight"] = (width, before, 1, 1)
                norms[f"{at}.downsample.1"] = width
            before = width
    for name, width in norms.items():
        expected |= {f"{name}.{what}": () if what == "num_batches_tracked" else (width,) for what in norm}
    assert state == expected


@pytest.mark.parametrize("shape", [(3, 32, 32), (28, 28), (3, 64, 80), (1, 8, 8)])
def test_shapes(shape: tuple[int, ...]) -> None:
    model = ResNet18(shape, 7, filters=2).eval()
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    assert model.large == (shape == (3, 64, 80))


def test_the_stem_can_be_chosen() -> None:
    model = ResNet18((3, 32, 32), 2, filters=2, stem="imagenet")
    assert isinstance(model.conv1, nn.Conv2d) and model.conv1.kernel_size == (7, 7)
    assert ResNet18((3, 64, 64), 2, filters=2, stem="small").conv1.kernel_size == (3, 3)
    with pytest.raises(
        PipelineError, match=r"resnet18 with stem: imagenet .* 28x28 is too small: set model\.stem: small"
    ):
        ResNet18((28, 28), 2, stem="imagenet")


def test_an_image_is_halved_five_times() -> None:
    model = ResNet18((3, 64, 64), 2, filters=2).eval()
    sizes = []
    for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
        getattr(model, name).register_forward_hook(lambda module, given, output: sizes.append(output.shape[-1]))
    model(torch.rand(1, 3, 64, 64))
    assert sizes == [32, 16, 8, 4, 2]
