"""The transformer for tables: it learns from numbers and codes together, and can be exported."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn
from torch.export import Dim, export, load, save

from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.features.column_layout import ColumnLayout
from pipelines.models.build_model import build_model

LAYOUT = ColumnLayout(("amount", "country", "missing"), ((1, 4),))
SMALL = {"width": 8, "heads": 2, "blocks": 2, "dropout": 0.0}


def inputs(rows: int) -> torch.Tensor:
    found = torch.rand(rows, 3, generator=torch.Generator().manual_seed(0))
    found[:, 1] = torch.arange(rows) % 4
    return found


def made(**options: object) -> nn.Module:
    return build_model("ft-transformer", {**SMALL, **options}, (3,), 2, 0, LAYOUT)


def test_it_learns_what_depends_on_a_number_and_a_category_together() -> None:
    model, given = made(), inputs(100)
    targets = ((given[:, 0] > 0.5) ^ (given[:, 1] >= 2)).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(120):
        loss = nn.functional.cross_entropy(model(given), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.eval()(given).argmax(1) == targets).float().mean() > 0.85


def test_rows_do_not_depend_on_each_other() -> None:
    model, given = made().eval(), inputs(9)
    alone = torch.cat([model(row[None]) for row in given])
    torch.testing.assert_close(model(given), alone, rtol=1e-4, atol=1e-5)


def test_it_can_be_exported() -> None:
    model, file = made().eval(), io.BytesIO()
    save(export(model, (inputs(4),), dynamic_shapes=({0: Dim.AUTO},)), file)
    file.seek(0)
    torch.testing.assert_close(load(file).module()(inputs(9)), model(inputs(9)))


def test_heads_divide_the_width() -> None:
    with pytest.raises(PipelineError, match=r"model\.heads: must divide width, which is 8, got 3"):
        made(heads=3)
    plain = build_model("ft-transformer", SMALL, (2, 3), 5, 0).eval()
    assert plain(torch.rand(4, 2, 3)).shape == (4, 5)
