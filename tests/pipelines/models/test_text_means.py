"""Vectors of texts."""

from __future__ import annotations

import pytest
import torch

from pipelines.data.features.column_layout import ColumnLayout, TextColumns
from pipelines.models.ft_transformer import FTTransformer
from pipelines.models.tabular_mlp import TabularMLP
from pipelines.models.text_means import TextMeans


def test_a_text_is_the_mean_of_its_words() -> None:
    means = TextMeans([TextColumns(1, 3, 5), TextColumns(4, 2, 3)], 4)
    first, second = (table.weight.detach() for table in means.tables)
    inputs = torch.tensor([[9.0, 2, 4, 0, 1, 2], [9, 0, 0, 0, 2, 0], [9, 3, 3, 9, -1, 9]])
    one, other = (found.detach() for found in means(inputs))
    torch.testing.assert_close(one, torch.stack([(first[2] + first[4]) / 2, first[0], (2 * first[3] + first[4]) / 3]))
    torch.testing.assert_close(other, torch.stack([second[2] / 2, second[2], second[2]]))
    assert not first[:2].any() and TextMeans([], 4)(inputs) == []


@pytest.mark.parametrize("kind", [TabularMLP, FTTransformer])
def test_models_of_tables_learn_from_words_alone(kind: type[TabularMLP] | type[FTTransformer]) -> None:
    """The class is whether word 2 or word 3 is in the text, at any place."""
    torch.manual_seed(0)
    layout = ColumnLayout(("price", *"abcd"), (), (TextColumns(1, 4, 6),))
    model = kind((5,), 2, layout=layout, dropout=0)
    inputs = torch.randint(4, 6, (200, 5)).float()
    inputs[:, 0], inputs[:, 4] = 0, 0
    targets = torch.randint(0, 2, (200,))
    inputs[torch.arange(200), torch.randint(1, 4, (200,))] = 2.0 + targets
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(30):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    assert (model.eval()(inputs).argmax(1) == targets).float().mean() > 0.95
