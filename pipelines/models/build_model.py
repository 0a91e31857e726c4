"""A pipeline's model, with the same initial weights wherever it is built."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pipelines.config.component_arguments import arguments
from pipelines.config.component_options import options_model
from pipelines.config.components import is_built_in, resolve
from pipelines.config.pipeline_errors import PipelineError
from pipelines.data.features.column_layout import ColumnLayout
from pipelines.models.model_contract import find_logits
from strategies.api.allocation_failure import is_allocation_failure

# Random numbers are those of the process: of two threads that make models, such as of two runs or of a run and its
# tracking, each would draw what the other has seeded.
_ALONE = threading.RLock()


def build_model(
    name: str,
    options: Mapping[str, Any],
    input_shape: tuple[int, ...],
    outputs: int,
    seed: int,
    layout: ColumnLayout | None = None,
) -> nn.Module:
    """The model called `name`, on the CPU. The random states of torch, numpy and random stay as they were.

    One thread of a process makes a model at a time.

    Args:
        name: built in, registered, or an import path `package.module:attribute`; called as
            attribute(input_shape, outputs, **options), with layout=... where its attribute `provided` names that.
        input_shape: shape of one input, without the batch.
        outputs: units of the head.
        seed: seed of the initial weights.
        layout: what the columns of the inputs are, where they are a table with features.

    Raises:
        PipelineError: no such model, options or inputs that the model does not take, or a model that needs more memory
            than this machine has.
    """
    make = resolve("models", name)
    checked = arguments(options_model("models", name), options, "model")
    if "layout" in getattr(make, "provided", ()):
        checked["layout"] = layout

    def made() -> Any:
        return make(tuple(input_shape), outputs, **checked)

    with _ALONE, torch.random.fork_rng(devices=[]), _seeded(seed), _allocation(name):
        if is_built_in("models", name):
            _check_size(name, made)
        # Not torch.manual_seed, which would seed the accelerators too, whose state fork_rng leaves alone here.
        torch.default_generator.manual_seed(seed)
        model = made()
    if not isinstance(model, nn.Module):
        raise PipelineError(f"model: {name} must return a torch.nn.Module, not {type(model).__name__}")
    lazy = next((name for name, value in model.named_parameters() if is_lazy(value)), None)
    if lazy is not None:
        layer = type(model.get_submodule(lazy.rpartition(".")[0])).__name__
        raise PipelineError(
            f"model: {name}: '{lazy}' ({layer}) has no weights before its first call: call the model once where it is "
            "made, as in model(torch.zeros(2, *input_shape))"
        )
    return find_logits(model)


def _check_size(name: str, made: Callable[[], Any]) -> None:
    """Refuse a built-in model that does not fit into this machine's memory, before it is allocated."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in made().parameters())
    needed, there = 4 * parameters, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise PipelineError(
            f"model: {name} with these options has {parameters:,} parameters, which take {needed / 1e9:,.0f} GB: "
            f"this machine has {there / 1e9:,.0f} GB of memory. Make it smaller"
        )


@contextmanager
def _allocation(name: str) -> Iterator[None]:
    """Errors of a model that cannot be allocated, as such of the pipeline file."""
    try:
        yield
    except (MemoryError, RuntimeError, OverflowError, TypeError) as error:
        if not is_allocation_failure(error):
            raise
        reason = str(error).strip().partition("\n")[0][:200]
        raise PipelineError(
            f"model: {name} cannot be allocated with these options: {reason}. Make it smaller"
        ) from error


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
