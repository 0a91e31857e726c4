"""Low-rank adapters as files that PEFT loads, and the model below them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from strategies.adapters.adapted_linear import Adapted
from strategies.adapters.adapted_network import AdaptedNetwork
from strategies.adapters.experts_network import ExpertsNetwork
from strategies.adapters.low_rank import adapted_layers

if TYPE_CHECKING:
    from torch import Tensor

    from strategies.adapters.low_rank import LowRankLinear

BASE = "base.safetensors"
_PREFIX = "base_model.model."


def write_adapter(model: nn.Module, folder: Path) -> str | None:
    """Write the adapters of a model of `lora` into a folder, which is made.

    `per: stream`, and `o-lora`, whose adapters become one with the sum of their ranks: PEFT's files. `per: experience`:
    a folder with PEFT's files for each experience, `experience_0` and so on; the adapter's head has the model's units,
    of which those of other experiences are at -inf.

    `base.safetensors` beside them are the tensors of the model without adapters, by its own names: with the head of
    `per: stream`, and with a head of zeros, that each adapter replaces, of `per: experience`.

    Returns:
        None, or why nothing is written; empty for a model without adapters.
    """
    if isinstance(model, ExpertsNetwork):
        return "a router chooses among its adapters, and PEFT has none"
    if isinstance(model, AdaptedNetwork):
        return _write_for_experiences(model, folder)
    layers = dict(adapted_layers(model))
    if not layers:
        return _other_adapters(model)
    _write(layers, next(iter(layers.values())).active, folder, {}, None)
    _write_base(_without_adapters(model), folder)
    return None


def _other_adapters(model: nn.Module) -> str:
    kinds = {type(part) for part in model.modules() if isinstance(part, Adapted)}
    return "PEFT has no adapters of this kind" if kinds else ""


def _write_for_experiences(model: AdaptedNetwork, folder: Path) -> str | None:
    first = model.head(0).layer
    place = next((name for name, part in model.body.named_modules() if type(part) is nn.Identity), None)
    if place is None or not isinstance(first, nn.Linear) or first.bias is None:
        return "its head has no bias, in which units of other experiences would be at -inf"
    layers = dict(adapted_layers(model.body))
    if not layers:
        return _other_adapters(model)
    for task in range(len(model.heads)):
        head = model.head(task)
        assert isinstance(head.layer, nn.Linear)
        weight = head.layer.weight.new_zeros(model.outputs, head.layer.in_features)
        bias = weight.new_full((model.outputs,), -torch.inf)
        weight[head.units], bias[head.units] = head.layer.weight.detach(), head.layer.bias.detach()
        own = {f"{_PREFIX}{place}.weight": weight, f"{_PREFIX}{place}.bias": bias}
        _write(layers, (str(task),), folder / f"experience_{int(head.experience)}", own, place)
    base = _without_adapters(model.body)
    base |= {f"{place}.weight": torch.zeros_like(weight), f"{place}.bias": torch.zeros_like(bias)}
    _write_base(base, folder)
    return None


def _write(
    layers: dict[str, LowRankLinear], names: Sequence[str], folder: Path, others: dict[str, Tensor], head: str | None
) -> None:
    """PEFT's two files of these adapters' sum; `others` are tensors of the layer `head`, which is saved whole."""
    from safetensors.torch import save_file

    tensors, ranks, alphas = dict(others), {}, {}
    for path, layer in layers.items():
        first, last = _summed(layer, names)
        tensors[f"{_PREFIX}{path}.lora_A.weight"] = first.contiguous()
        tensors[f"{_PREFIX}{path}.lora_B.weight"] = last.contiguous()
        ranks[path], alphas[path] = first.shape[0], layer.alpha * len(names)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = _config(ranks, alphas) | ({} if head is None else {"modules_to_save": [head]})
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))


def _summed(layer: LowRankLinear, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """A and B of one adapter that adds what these do, at the factor alpha * adapters / rank."""
    firsts = [layer.lora_A[name].get_parameter("weight").detach() for name in names]
    whole = sum(map(len, firsts)) / len(names)  # of the rank of each, where they are the same
    lasts = [
        layer.lora_B[name].get_parameter("weight").detach() * (whole / len(first))
        for name, first in zip(names, firsts, strict=True)
    ]
    return torch.cat(firsts), torch.cat(lasts, 1)


def _without_adapters(model: nn.Module) -> dict[str, Tensor]:
    return {
        path.replace(".base_layer.", "."): tensor.detach().clone().contiguous()
        for path, tensor in model.state_dict().items()
        if ".lora_A." not in path and ".lora_B." not in path
    }


def _write_base(tensors: dict[str, Tensor], folder: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, folder / BASE)


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
