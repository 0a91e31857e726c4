"""Low-rank adapters as files that PEFT loads, and the model below them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

BASE = "base.safetensors"
_PREFIX = "base_model.model."


def write_adapter(model: nn.Module, folder: Path) -> bool:
    """Write the adapter of a model of `lora` with `per: stream` into a folder, which is made.

    `base.safetensors` beside it are the tensors of the model without the adapter, head included, by their own names.

    Returns:
        Whether the model has one adapter in each of its adapted layers; otherwise nothing is written.
    """
    from safetensors.torch import save_file

    from strategies.adapters.low_rank import adapted_layers

    layers = dict(adapted_layers(model))
    names = {name for layer in layers.values() for name in layer.lora_A}
    if len(names) != 1 or any(list(layer.lora_A) != list(names) for layer in layers.values()):
        return False
    (name,) = names
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for path, layer in layers.items():
        first: Tensor = layer.lora_A[name].get_parameter("weight").detach()
        last: Tensor = layer.lora_B[name].get_parameter("weight").detach()
        tensors[f"{_PREFIX}{path}.lora_A.weight"] = first.contiguous()
        tensors[f"{_PREFIX}{path}.lora_B.weight"] = last.contiguous()
        ranks[path], alphas[path] = first.shape[0], layer.alpha
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(_config(ranks, alphas), indent=2, sort_keys=True))
    base = {
        path.replace(".base_layer.", "."): tensor.detach().clone().contiguous()
        for path, tensor in model.state_dict().items()
        if ".lora_A." not in path and ".lora_B." not in path
    }
    save_file(base, folder / BASE)
    return True


def _config(ranks: dict[str, int], alphas: dict[str, float]) -> dict[str, Any]:
    """PEFT's `LoraConfig`; layers are named in full, for the ends of their names may belong to others too."""
    first = next(iter(ranks))
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "r": ranks[first],
        "lora_alpha": alphas[first],
        "rank_pattern": {f"^{re.escape(path)}$": rank for path, rank in ranks.items() if rank != ranks[first]},
        "target_modules": "|".join(re.escape(path) for path in ranks),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
