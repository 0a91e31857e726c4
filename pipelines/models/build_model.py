"""A pipeline's model, with the same initial weights wherever it is built."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from pipelines.config.component_arguments import arguments
from pipelines.config.component_options import options_model
from pipelines.config.components import resolve
from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.model_contract import find_logits


def build_model(
    name: str, options: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int, seed: int
) -> nn.Module:
    """The model called `name`, on the CPU. The random states of torch, numpy and random stay as they were.

    Args:
        name: built in, registered, or an import path `package.module:attribute`; called as
            attribute(input_shape, outputs, **options).
        input_shape: shape of one input, without the batch.
        outputs: units of the head.
        seed: seed of the initial weights.

    Raises:
        PipelineError: no such model, or options or inputs that the model does not take.
    """
    make = resolve("models", name)
    checked = arguments(options_model("models", name), options, "model")
    with torch.random.fork_rng(devices=[]), _seeded(seed):
        # Not torch.manual_seed, which would seed the accelerators too, whose state fork_rng leaves alone here.
        torch.default_generator.manual_seed(seed)
        model = make(tuple(input_shape), outputs, **checked)
    if not isinstance(model, nn.Module):
        raise PipelineError(f"model: {name} must return a torch.nn.Module, not {type(model).__name__}")
    return find_logits(model)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """numpy's and Python's global random numbers, from `seed` within the block and as they were after it."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
