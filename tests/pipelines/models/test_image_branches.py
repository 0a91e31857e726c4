"""Images of a table in a model."""

from __future__ import annotations

import pytest
import torch

from pipelines.data.features.column_layout import ColumnLayout, ImageColumns
from pipelines.models.ft_transformer import FTTransformer
from pipelines.models.image_branches import ImageBranches
from pipelines.models.tabular_mlp import TabularMLP


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (33, 20)])
def test_each_image_has_a_vector_of_its_own_pixels(size: tuple[int, int]) -> None:
    first, second = ImageColumns(1, 3, *size), ImageColumns(1 + 3 * size[0] * size[1], 1, *size)
    branches = ImageBranches([first, second], 6)
    inputs = torch.randn(4, second.start + second.length + 1)
    before = branches(inputs)
    assert [tuple(found.shape) for found in before] == [(4, 6), (4, 6)]
    inputs[1, second.start :] = 9
    inputs[2, 0] = 9
    after = branches(inputs)
    assert torch.allclose(after[0], before[0], atol=1e-6)
    assert torch.allclose(after[1][[0, 2, 3]], before[1][[0, 2, 3]], atol=1e-6)
    assert not torch.allclose(after[1][1], before[1][1], atol=1e-3)
    assert ImageBranches([], 6)(inputs) == [] and not list(ImageBranches([], 6).state_dict())


@pytest.mark.parametrize("kind", [TabularMLP, FTTransformer])
def test_models_of_tables_learn_from_an_image_alone(kind: type[TabularMLP] | type[FTTransformer]) -> None:
    """The class is whether a stripe lies or stands, at any place."""
    torch.manual_seed(0)
    layout = ColumnLayout(
        ("price", *(str(pixel) for pixel in range(64)), "missing"), (), (), (ImageColumns(1, 1, 8, 8),)
    )
    model = kind((66,), 2, layout=layout, dropout=0)
    targets, places = torch.randint(0, 2, (200,)), torch.randint(0, 8, (200,))
    pixels = torch.zeros(200, 8, 8)
    pixels[torch.arange(200), places] = 1
    pixels[targets == 1] = pixels[targets == 1].transpose(1, 2)
    inputs = torch.cat([torch.zeros(200, 1), pixels.flatten(1), torch.zeros(200, 1)], dim=1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    assert (model.eval()(inputs).argmax(1) == targets).float().mean() > 0.95


def test_a_layout_without_images_makes_the_model_of_before() -> None:
    names = [name for name, _ in TabularMLP((3,), 2).named_parameters()]
    assert not [name for name in names if "images" in name] and ColumnLayout.plain(3).images == ()
