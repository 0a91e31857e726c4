"""The model of a commit as a folder that is used without Everlearn.

`model.pt2` in `data/` is the graph of `torch.export`; with `MLmodel` beside it the folder is one that MLflow loads.
`model.safetensors` holds the tensors by name. The preprocessing comes as data and as a file of Python that needs numpy
alone, and a model of `lora` as PEFT's files, too.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.prediction.predicting import Predicting

ADAPTER = "adapter"


def export_folder(model: Predicting, commit: str, pipeline: str, folder: Path) -> dict[str, Any]:
    """Write a folder, which has its name only when it is complete.

    Args:
        model: of `load_model`.
        commit: its id.
        pipeline: its name.
        folder: must not exist.

    Returns:
        What was written: `graph` (whether `torch.export` could; else `graph_problem` says why not), `preprocessing` and
        `adapter` (of a model with adapters that PEFT cannot load, `adapter_problem` says why).

    Raises:
        PipelineError: the folder exists or cannot be written.
    """
    from orchestrator.prediction.predicting import manner

    use = manner(model)
    with _new_folder(folder) as partial:
        problem = _graph(model, commit, partial)
        if not partial.exists():
            partial.mkdir()
        _tensors(model, partial)
        preprocessing = use.inputs.preprocessing
        if preprocessing is not None:
            (partial / "preprocessing.json").write_text(
                json.dumps(preprocessing.document(), ensure_ascii=False, indent=1), encoding="utf-8"
            )
            shutil.copy(Path(__file__).with_name("standalone_preprocessing.py"), partial / "preprocessing.py")
        from orchestrator.serving.adapter_files import write_adapter

        no_adapter = write_adapter(model, partial / ADAPTER)
        about = {
            "commit": commit,
            "pipeline": pipeline,
            "input_shape": list(use.inputs.shape),
            "outputs": list(use.names),
            "graph": problem is None,
            "preprocessing": preprocessing is not None,
            "columns": [] if preprocessing is None else [encoder.name for encoder in preprocessing.encoders],
            "image_columns": [] if preprocessing is None else list(preprocessing.images),
            "adapter": no_adapter is None,
        }
        (partial / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=2), encoding="utf-8")
        (partial / "README.md").write_text(_readme(about), encoding="utf-8")
    problems = {"graph_problem": problem, "adapter_problem": no_adapter}
    return about | {name: text for name, text in problems.items() if text}


def _graph(model: Predicting, commit: str, folder: Path) -> str | None:
    """Write the graph, and what MLflow needs beside it; gives the reason where the model cannot be exported."""
    import torch

    from orchestrator.prediction.predicting import manner
    from orchestrator.tracking.exported_model import export_model, write_description
    from strategies.loop.input_scaling import input_dtype

    example = torch.zeros(2, *manner(model).inputs.shape, dtype=input_dtype(model))
    try:
        content = export_model(folder, model, example)
    except Exception as error:  # torch.export raises what the model raises, and errors of many kinds of its own
        shutil.rmtree(folder, ignore_errors=True)
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text[:200]}"
    write_description(folder, content, model_id=commit[:32], run_id=commit[:32], artifact_path="model")
    return None


def _tensors(model: Predicting, folder: Path) -> None:
    from safetensors.torch import save_model

    save_model(model, str(folder / "model.safetensors"))


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    if folder.exists():
        raise PipelineError(f"{folder}: exists already: name a folder that does not")
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        partial.rename(folder)
    except OSError as error:
        raise PipelineError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _readme(about: dict[str, Any]) -> str:
    shape = ", ".join(map(str, about["input_shape"]))
    parts = [
        f"# Model {about['commit'][:12]} of {about['pipeline']}",
        f"An input has the shape ({shape}), float32; images of 0 to 255 are divided by 255. `model.json`\n"
        "names the outputs in their order: logits of classes or labels, or values in the unit of the targets.",
    ]
    if about["graph"]:
        parts.append(
            "```python\nimport torch\n\n"
            'model = torch.export.load("data/model.pt2").module()\n'
            f"outputs = model(torch.zeros(2, {shape}))\n```\n\n"
            "Or `mlflow.pytorch.load_model` with the path of this folder."
        )
    parts.append(
        "`model.safetensors` has the tensors by their names in the model's own class:\n"
        "`safetensors.torch.load_model(model, ...)`."
    )
    if about["preprocessing"]:
        images = ", ".join(f"`{name}`" for name in about["image_columns"])
        also = f" and, for the images in {images}, Pillow; an image is a path or the bytes of a file" if images else ""
        parts.append(
            "Rows of a table, a dictionary for each, become inputs by `preprocessing.py`, which needs\n"
            f"numpy{also}; a column that a row lacks is missing:\n\n"
            "```python\nimport json\n\n"
            "from preprocessing import inputs_of\n\n"
            f"rows = [{{{', '.join(f'{name!r}: ...' for name in about['columns'])}}}]"
            '  # of a table of pandas: table.to_dict("records")\n'
            'inputs = torch.from_numpy(inputs_of(rows, json.load(open("preprocessing.json"))))\n```'
        )
    if about["adapter"]:
        parts.append(
            "`adapter/` is one that PEFT loads on the model that it was trained on, whose tensors, head included, are\n"
            '`adapter/base.safetensors`: `peft.PeftModel.from_pretrained(base, "adapter")`. Where it has a folder for\n'
            'each experience, load `"adapter/experience_0"`, and the others with `load_adapter`.'
        )
    return "\n\n".join(parts) + "\n"
