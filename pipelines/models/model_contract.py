"""What a model returns: a tensor of logits, or something that holds one; and whether it fits the stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError


def find_logits(model: nn.Module) -> nn.Module:
    """Makes `model(inputs)` return the logits, where its forward pass returns them with other things.

    They are the entry or attribute `logits` of a dict or an object (as of Hugging Face), or the first entry of a tuple.
    A model that returns a tensor in training and in evaluation is left as it was from then on.

    Returns:
        The model.
    """
    model.register_forward_hook(_only_logits)
    return model


def _only_logits(model: nn.Module, args: Any, output: Any) -> Any:
    if not isinstance(output, Tensor):
        return _logits(output)
    modes = model.__dict__.setdefault("_returned_a_tensor", set())
    modes.add(model.training)
    if len(modes) == 2:
        for key in [key for key, hook in model._forward_hooks.items() if hook is _only_logits]:
            del model._forward_hooks[key]
        del model.__dict__["_returned_a_tensor"]
    return None


def _logits(output: Any) -> Any:
    """The logits in what a model returned; the same thing when they are not found."""
    found: Any = output
    if isinstance(output, Mapping):
        found = output.get("logits", next(iter(output.values())) if len(output) == 1 else output)
    elif hasattr(output, "logits"):
        found = output.logits
    elif isinstance(output, (tuple, list)) and output:
        found = output[0]
    return found if isinstance(found, Tensor) else output


def check_model(model: nn.Module, example: Tensor, outputs: int, *, tokens: bool = False) -> None:
    """Refuse a model whose answer to a few inputs does not fit the stream.

    Args:
        model: as `find_logits` left it; its buffers and torch's random numbers stay as they are.
        example: (n, *shape), as the model takes it, n >= 1.
        outputs: units that the stream needs.
        tokens: the model predicts a token at each position: (n, outputs, length).

    Raises:
        PipelineError: says what it returned, and what to return.
    """
    training = model.training
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            for mode in (False, True):
                model.train(mode)
                where, answer = "training" if mode else "evaluation", _answer(model, example, mode)
                if tokens:
                    _check_tokens(answer, (len(example), outputs, int(example.shape[1])), where)
                else:
                    _check(answer, len(example), outputs, where)
        finally:
            model.train(training)
            for name, buffer in model.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])


def _answer(model: nn.Module, example: Tensor, training: bool) -> Any:
    if not training:
        return model(example)
    try:
        return model(example)
    except Exception:
        # Two samples may be too few to train on: what else is wrong, training says.
        return None


def _check_tokens(answer: Any, wanted: tuple[int, int, int], mode: str) -> None:
    shape = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    if answer is not None and shape != wanted:
        raise PipelineError(
            f"model: its forward() returned {shape} in {mode}, and objective: next-token needs a logit of each token "
            f"at each position, {wanted}: use {{name: transformers, head: causal-lm}}, or return (n, outputs, length)"
        )


def _check(answer: Any, rows: int, outputs: int, mode: str) -> None:
    if answer is None:
        return
    wanted = f"return the logits, a tensor ({rows}, {outputs}): a row for each sample, a column for each output unit"
    if not isinstance(answer, Tensor):
        kind = type(answer).__name__
        held = f" with the keys {', '.join(map(str, answer))}"[:200] if isinstance(answer, Mapping) else ""
        raise PipelineError(
            f"model: its forward() returned a {kind}{held} in {mode}, in which the logits are not found: {wanted}, or "
            "a dict or an object with `logits`, or a tuple that begins with them"
        )
    shape = tuple(answer.shape)
    if shape == (rows, outputs) or (rows == 1 and shape == (outputs,)):
        return
    if len(shape) == 2 and shape[0] == rows:
        raise PipelineError(
            f"model: it has {shape[1]} outputs, and the stream needs {outputs}: make its last layer of the `outputs` "
            "that it is called with, as in Model(input_shape, outputs)"
        )
    raise PipelineError(f"model: its forward() returned a tensor of shape {shape} for {rows} inputs: {wanted}")
