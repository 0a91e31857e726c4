"""A model that takes tables, as MLflow's function: this module is saved with the model, and needs no Everlearn there.

It and all modules that it imports are copied (see `table_export`), so that columns become inputs by the very code that
trained with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from orchestrator.prediction.predictions import ANSWERS
from pipelines.config.pipeline_errors import DataError
from pipelines.data.features.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor, nn

GRAPH, USE = "model.pt2", "use.json"
"""Names of the files: the model as `torch.export` writes it, and all else that it needs."""

_ROWS = 8192


class TableModel:
    """From the columns of a table to class names and probabilities, or to values.

    Args:
        model: from inputs (n, d) to outputs (n, units).
        preprocessing: from columns to inputs.
        names: of the outputs.
        answers: what outputs stand for: `classes`, `labels` or `numbers`.
    """

    def __init__(self, model: nn.Module, preprocessing: Preprocessing, names: list[str], answers: Any) -> None:
        self._model, self._preprocessing, self._names = model, preprocessing, names
        self._answers = ANSWERS[answers]

    @torch.no_grad()
    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """The answers as a data frame: `prediction`, and `probability_<name>` of each class.

        Args:
            data: a pandas data frame with at least the columns of the model's signature; images are the bytes of PNG or
                JPEG files, or None.
            params: none are known.

        Raises:
            DataError: a column is missing, or a value is of another kind than in training.
        """
        import pandas
        import pyarrow
        from pyarrow.types import is_binary, is_null

        columns = [name for name in self._preprocessing.kinds if name in data.columns]
        table = pyarrow.Table.from_pandas(data[columns], preserve_index=False)
        for name in self._preprocessing.images:
            # Paths would let a client of a server say which of its files are opened.
            if name in columns and not (is_binary(table[name].type) or is_null(table[name].type)):
                raise DataError(
                    f"the table: column '{name}' takes images as the bytes of PNG or JPEG files: "
                    "open(path, 'rb').read(), or None where there is none"
                )
        inputs = torch.from_numpy(self._preprocessing.transform(table, "the table"))
        # A graph that was exported with several rows takes no fewer than two.
        outputs = [self._outputs(part) for part in inputs.split(_ROWS)] if len(inputs) else []
        output = torch.cat(outputs) if outputs else torch.zeros(0, len(self._names))
        return pandas.DataFrame(self._answers(output, self._names).columns(), index=data.index)

    def _outputs(self, inputs: Tensor) -> Tensor:
        if len(inputs) > 1:
            output: Tensor = self._model(inputs)
            return output
        return self._outputs(torch.cat([inputs, inputs]))[:1]


def _load_pyfunc(path: str) -> TableModel:
    """Called by MLflow with the folder of the model's data."""
    folder = Path(path)
    use = json.loads((folder / USE).read_text(encoding="utf-8"))
    model = torch.export.load(folder / GRAPH).module()
    return TableModel(model, Preprocessing.read(use["preprocessing"]), use["names"], use["answers"])
