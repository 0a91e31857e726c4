"""A model for tables as files that MLflow loads without Everlearn: it takes a data frame and answers with class names.

Beside the graph there are the fitted preprocessing as data, and the code that reads tables by it: the module
`table_pyfunc` and those that it imports, under a name of their own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.tracking.exported_model import export_model
from orchestrator.tracking.table_pyfunc import GRAPH, USE, TableModel
from pipelines.data.features.image_encoder import Image

if TYPE_CHECKING:
    from torch import nn

    from orchestrator.prediction.predicting import Manner
    from pipelines.data.features.preprocessing import Preprocessing

_CODE, _EXAMPLE, _SERVING = "code", "input_example.json", "serving_input_example.json"
_ENTRY = "orchestrator.tracking.table_pyfunc"
# What the preprocessing loads only where there are columns of images.
_FOR_IMAGES = ("pipelines.data.images.decode_images", "pipelines.data.images.image_sources")
_ROOT = Path(__file__).parents[2]
_IMPORT = re.compile(r"^( *)from ((?:orchestrator|pipelines|strategies)\.[\w.]+) import", re.MULTILINE)
_KINDS = {"numeric": "double", "text": "string", "image": "binary"}


def export_table_model(folder: Path, model: nn.Module, use: Manner) -> dict[str, Any]:
    """Write all files of a model but `MLmodel`, whose content is returned (as `exported_model.export_model`).

    Args:
        folder: is made.
        model: on the CPU, in evaluation mode, from inputs (n, d) to outputs (n, units).
        use: how it is used; it has a preprocessing.

    Raises:
        Exception: of `torch.export` or of the model itself.
    """
    import pandas
    import pyarrow
    import torch

    preprocessing = use.inputs.preprocessing
    assert preprocessing is not None
    rows = example_rows(preprocessing)
    inputs = preprocessing.transform(pyarrow.table(rows), "the example")
    packages = ("pillow",) if preprocessing.images else ()
    content = export_model(folder, model, torch.from_numpy(inputs), packages)
    names, meaning = list(use.names), use.answers.__name__
    kept = {"preprocessing": preprocessing.document(), "names": names, "answers": meaning}
    (folder / "data" / USE).write_text(json.dumps(kept), encoding="utf-8")
    package = write_code(folder / _CODE, images=bool(preprocessing.images))
    frame = pandas.DataFrame(rows)
    graph = torch.export.load(folder / "data" / GRAPH).module()
    answers = TableModel(graph, preprocessing, names, meaning).predict(frame)
    # Bytes are base64, as MLflow reads them in JSON.
    data = [[_text(cell) for cell in row] for row in zip(*rows.values(), strict=True)]
    split = {"columns": list(rows), "data": data}
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
        elif isinstance(encoder, Image):
            found[encoder.name] = [_plain_image(encoder, shade) for shade in (96, 160)]
        elif encoder.kind == "categorical":
            values = known["values"] or [""]
            found[encoder.name] = [values[0], values[-1]]
        else:
            values = known["values"] or [""]
            found[encoder.name] = [" ".join(values[:3]), values[-1]]
    return found


def write_code(folder: Path, *, images: bool = False) -> str:
    """Write the code that a saved model runs, and return the name of its package, which follows from the content.

    Args:
        images: with what decodes images.
    """
    modules = _with_imports(_ENTRY, *(_FOR_IMAGES if images else ()))
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


def _with_imports(*names: str) -> dict[str, str]:
    """Modules of Everlearn and those that they import, by name."""
    found: dict[str, str] = {}
    waiting = list(names)
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


def _plain_image(encoder: Image, shade: int) -> bytes:
    """A PNG file of one shade of grey."""
    from PIL import Image as Picture

    kept = io.BytesIO()
    Picture.new("L", (encoder.width, encoder.height), shade).save(kept, "PNG")
    return kept.getvalue()


def _text(cell: Any) -> Any:
    return base64.encodebytes(cell).decode() if isinstance(cell, bytes) else cell


def _moment(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(round(seconds), UTC).isoformat()
