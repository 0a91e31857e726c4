"""The perceptron for tables: codes are looked up and never weighed, and its state does not hold the data's layout."""

from __future__ import annotations

import io

import pytest
import torch
from torch.export import Dim, export, load, save

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.features.column_layout import ColumnLayout
from pipelines.models.build_model import build_model
from pipelines.models.tabular_mlp import CategoryCodes, TabularMLP

LAYOUT = ColumnLayout(("amount", "country", "missing", "zip"), ((1, 4), (3, 40)))


def inputs(rows: int = 6) -> torch.Tensor:
    numbers = torch.rand(rows, 4)
    numbers[:, 1], numbers[:, 3] = torch.arange(rows) % 4, torch.arange(rows) % 40
    return numbers


def test_a_value_has_a_vector_of_its_own() -> None:
    model = build_model("tabular-mlp", {"embedding": 8, "dropout": 0.0}, (4,), 3, 0, LAYOUT).train()
    assert isinstance(model, TabularMLP)
    given = inputs()
    model(given).square().sum().backward()
    country, zip_ = model.embeddings
    assert (tuple(country.weight.shape), tuple(zip_.weight.shape)) == ((4, 4), (40, 8))
    touched = zip_.weight.grad.abs().sum(1) > 0
    assert touched[:6].all() and not touched[6:].any()
    assert not country.weight[:2].any() and country.weight[2:].any()


def test_codes_that_are_none_become_the_nearest() -> None:
    codes = CategoryCodes(LAYOUT)(torch.tensor([[0.5, -3.0, 0.0, 99.0], [0.5, 1.8, 0.0, 0.2]]))
    assert codes.tolist() == [[0, 39], [2, 0]]


def test_without_a_layout_all_inputs_are_numbers() -> None:
    model = build_model("tabular-mlp", {"hidden": [5]}, (2, 3), 2, 0).eval()
    assert model(torch.rand(4, 2, 3)).shape == (4, 2)
    assert {name.partition(".")[0] for name in model.state_dict()} == {"body", "head"}


def test_it_can_be_exported() -> None:
    model = build_model("tabular-mlp", {}, (4,), 3, 0, LAYOUT).eval()
    file = io.BytesIO()
    save(export(model, (inputs(),), dynamic_shapes=({0: Dim.AUTO},)), file)
    file.seek(0)
    given = inputs(9)
    torch.testing.assert_close(load(file).module()(given), model(given))


def test_the_layout_is_no_option() -> None:
    with pytest.raises(PipelineError, match=r"model.layout: unknown key"):
        build_model("tabular-mlp", {"layout": 3}, (4,), 3, 0)
