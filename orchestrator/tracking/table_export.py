"""A model for tables as files that MLflow loads without Everlearn: it takes a data frame and answers with class names.

Beside the graph there are the fitted preprocessing as data, and the code that reads tables by it: the module
`table_pyfunc` and those that it imports, under a name of their own.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.tracking.exported_model import export_model
from orchestrator.tracking.table_pyfunc import GRAPH, USE, TableModel
from pipelines.config.pipeline_errors import DataError

if TYPE_CHECKING:
    from torch import nn

    from orchestrator.prediction.predicting import Manner
    from pipelines.data.features.preprocessing import Preprocessing

_CODE, _EXAMPLE, _SERVING = "code", "input_example.json", "serving_input_example.json"
_ENTRY = "orchestrator.tracking.table_pyfunc"
_ROOT = Path(__file__).parents[2]
_IMPORT = re.compile(r"^( *)from ((?:orchestrator|pipelines|strategies)\.[\w.]+) import", re.MULTILINE)
_KINDS = {"numeric": "double", "text": "string"}


def export_table_model(folder: Path, model: nn.Module, use: Manner) -> dict[str, Any]:
    """Write all files of a model but `MLmodel`, whose content is returned (as `exported_model.export_model`).

    Args:
        folder: is made.
        model: on the CPU, in evaluation mode, from inputs (n, d) to outputs (n, units).
        use: how it is used; it has a preprocessing.

    Raises:
        DataError: the preprocessing has columns of images.
        Exception: of `torch.export` or of the model itself.
    """
    import pandas
    import pyarrow
    import torch

    preprocessing = use.inputs.preprocessing
    assert preprocessing is not None
    refuse_images(preprocessing)
    rows = example_rows(preprocessing)
    inputs = preprocessing.transform(pyarrow.table(rows), "the example")
    content = export_model(folder, model, torch.from_numpy(inputs))
    names, meaning = list(use.names), use.answers.__name__
    kept = {"preprocessing": preprocessing.document(), "names": names, "answers": meaning}
    (folder / "data" / USE).write_text(json.dumps(kept), encoding="utf-8")
    package = write_code(folder / _CODE)
    frame = pandas.DataFrame(rows)
    graph = torch.export.load(folder / "data" / GRAPH).module()
    answers = TableModel(graph, preprocessing, names, meaning).predict(frame)
    split = {"columns": list(rows), "data": [list(row) for row in zip(*rows.values(), strict=True)]}
    (folder / _EXAMPLE).write_text(json.dumps(split), encoding="utf-8")
    (folder / _SERVING).write_text(json.dumps({"dataframe_split": split}, indent=2), encoding="utf-8")
    function = {**content["flavors"]["python_function"], "code": _CODE, "loader_module": f"{package}.{_ENTRY}"}
    del function["config"], function["pickle_module_name"]
    outputs = [{"name": name, "type": _type(answers[name].dtype), "required": True} for name in answers.columns]
    return {
        **content,
        "flavors": {**content["flavors"], "python_function": function},
        "saved_input_example_info": {
            "artifact_path": _EXAMPLE,
            "pandas_orient": "split",
            "serving_input_path": _SERVING,
            "type": "dataframe",
        },
        "signature": {"inputs": _inputs(preprocessing), "outputs": json.dumps(outputs), "params": None},
    }


def refuse_images(preprocessing: Preprocessing) -> None:
    """Refuse a preprocessing that opens files and needs Pillow: it works where Everlearn is.

    Raises:
        DataError: it has columns of images.
    """
    if preprocessing.images:
        names = ", ".join(map(repr, preprocessing.images))
        raise DataError(f"export: the model takes images from the column {names}: use it with load_model or predict")


def example_rows(preprocessing: Preprocessing) -> dict[str, list[Any]]:
    """Two rows of a table as it was in training, by columns. They are made of what the preprocessing knows: no row of
    the data becomes part of a model."""
    found: dict[str, list[Any]] = {}
    for encoder in preprocessing.encoders:
        known: Any = encoder.document()
        if encoder.kind == "numeric":
            found[encoder.name] = [known["mean"], known["mean"] + known["scale"]]
        elif encoder.kind == "timestamp":
            found[encoder.name] = [_moment(known["mean"]), _moment(known["mean"] + known["scale"])]
        elif encoder.kind == "categorical":
            values = known["values"] or [""]
            found[encoder.name] = [values[0], values[-1]]
        else:
            values = known["values"] or [""]
            found[encoder.name] = [" ".join(values[:3]), values[-1]]
    return found


def write_code(folder: Path) -> str:
    """Write the code that a saved model runs, and return the name of its package, which follows from the content."""
    modules = _with_imports(_ENTRY)
    digest = hashlib.sha256(json.dumps(sorted(modules.items())).encode()).hexdigest()
    package = f"everlearn_{digest[:12]}"
    for name, source in modules.items():
        file = (folder / package).joinpath(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_IMPORT.sub(rf"\1from {package}.\2 import", source), encoding="utf-8")
        for parent in file.parents:
            if parent == folder:
                break
            (parent / "__init__.py").touch()
    return package


def _with_imports(name: str) -> dict[str, str]:
    """A module of ours and those that it needs to be loaded, by name."""
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = _ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
            # An indented import is one for type checkers, or of a function that a model does not call.
            waiting += [other for indent, other in _IMPORT.findall(found[module]) if not indent]
    return found


def _inputs(preprocessing: Preprocessing) -> str:
    """The signature's columns. Dates may come as text, and names of categories as numbers: both are of any type."""
    columns = []
    for name, kind in preprocessing.kinds.items():
        columns.append({"name": name, "type": _KINDS.get(kind, "any"), "required": True})
    return json.dumps(columns)


def _type(dtype: Any) -> str:
    """The name that MLflow has for the type of an output."""
    return {"b": "boolean", "f": "float"}.get(dtype.kind, "string")


def _moment(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(round(seconds), UTC).isoformat()
