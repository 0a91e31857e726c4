"""A model as files that MLflow loads and serves: what `mlflow.pytorch.save_model` writes, without loading MLflow.

The graph is PyTorch's own (`torch.export`), so nothing is pickled. MLflow itself takes half a second for the rest,
which is text; the tests compare it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_DATA, _EXAMPLE, _SERVING = "data", "input_example.json", "serving_input_example.json"


def export_model(folder: Path, model: nn.Module, example: Tensor, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Write all files of a model but `MLmodel`, whose content is returned.

    Args:
        folder: is made.
        model: on the CPU, in evaluation mode.
        example: a batch of its input, (2 or more, *shape), on the CPU. A model of one batch size would serve no other.
        packages: what else the model needs, by the names of pip.

    Raises:
        Exception: of `torch.export` or of the model itself.
    """
    import torch
    from torch.export import Dim

    with torch.no_grad():
        output = model(example)
    # Where it fails, PyTorch prints the graph so far to the terminal.
    with contextlib.redirect_stderr(io.StringIO()):
        graph = torch.export.export(model, (example,), dynamic_shapes=({0: Dim.AUTO},))
    (folder / _DATA).mkdir(parents=True)
    torch.export.save(graph, folder / _DATA / "model.pt2")
    rows = example.tolist()
    (folder / _EXAMPLE).write_text(json.dumps(rows), encoding="utf-8")
    (folder / _SERVING).write_text(json.dumps({"inputs": rows}, indent=2), encoding="utf-8")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    _write_environment(folder, packages)
    return {
        "flavors": {
            "python_function": {
                "config": {"device": None},
                "data": _DATA,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.pytorch",
                "pickle_module_name": "mlflow.pytorch.pickle_module",
                "python_version": platform.python_version(),
            },
            "pytorch": {"code": None, "model_data": _DATA, "pytorch_version": str(torch.__version__)},
        },
        "is_signature_from_type_hint": False,
        "mlflow_version": importlib.metadata.version("mlflow"),
        "model_size_bytes": size,
        "prompts": None,
        "saved_input_example_info": {"artifact_path": _EXAMPLE, "serving_input_path": _SERVING, "type": "ndarray"},
        "signature": {"inputs": _signature(example), "outputs": _signature(output), "params": None},
        "type_hint_from_example": False,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def write_description(folder: Path, content: dict[str, Any], *, model_id: str, run_id: str, artifact_path: str) -> None:
    """Write `MLmodel`, the file that makes a folder a model, once MLflow has an id for it.

    Args:
        content: what `export_model` returned.
    """
    import yaml

    # `model_uuid` is of older versions of MLflow, which read it still.
    owner = {"artifact_path": artifact_path, "model_id": model_id, "model_uuid": model_id, "run_id": run_id}
    (folder / "MLmodel").write_text(yaml.safe_dump(content | owner, default_flow_style=False), encoding="utf-8")


def _signature(tensor: Tensor) -> str:
    """One tensor with any number of samples, as the JSON that MLflow keeps."""
    kind = str(tensor.dtype).removeprefix("torch.")
    return json.dumps([{"type": "tensor", "tensor-spec": {"dtype": kind, "shape": [-1, *tensor.shape[1:]]}}])


def _write_environment(folder: Path, packages: Sequence[str]) -> None:
    """What the model needs, for pip and for conda."""
    import yaml

    names = ("mlflow", "torch", "numpy", *packages)
    versions = {name: importlib.metadata.version(name).partition("+")[0] for name in names}
    needs = [f"{name}=={version}" for name, version in versions.items()]
    python = platform.python_version()
    tools = [f"{name}=={version}" for name in ("pip", "setuptools") if (version := _installed(name))]
    conda = {
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": needs}],
        "name": "mlflow-env",
    }
    virtual = {"python": python, "build_dependencies": [*tools, "wheel"], "dependencies": ["-r requirements.txt"]}
    (folder / "requirements.txt").write_text("\n".join(needs), encoding="utf-8")
    (folder / "conda.yaml").write_text(yaml.safe_dump(conda, default_flow_style=False), encoding="utf-8")
    (folder / "python_env.yaml").write_text(yaml.safe_dump(virtual, sort_keys=False), encoding="utf-8")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
