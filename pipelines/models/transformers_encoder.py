"""Pretrained encoders of Hugging Face's transformers, with a classifier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.pretrained_folder import EXTRA, content_hash, pretrained_folder

_KEY = "model.pretrained"


class TransformersEncoder(nn.Module):
    """A pretrained transformer below a linear classifier, for tokens of the dataset `text`.

    Weights are read from .safetensors files alone, and no code of the folder is run. Dropout is 0 unless it is given:
    each worker draws its own, so that with dropout the number of workers changes what is learned.

    Args:
        input_shape: (length,): the tokens of a text, padded at the end with -1.
        outputs: units of the head.
        pretrained: a folder with config.json and .safetensors files, or an id of the Hugging Face hub. Commits are
            identified by the content of the files, not by their place.
        pooling: what enters the head: the mean over a text's tokens, its first token, or its last one.
        dropout: probability in all dropout layers of the transformer.
        frozen: only the head learns.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        pretrained: Annotated[str, Field(min_length=1, max_length=4096)],
        pooling: Literal["mean", "first", "last"] = "mean",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if len(input_shape) != 1:
            raise PipelineError(
                f"model: transformers takes tokens, (length,), but an input has the shape {input_shape}: "
                "use the dataset `text`"
            )
        self.body = _body(pretrained, dropout)
        longest = getattr(self.body.config, "max_position_embeddings", None)
        if isinstance(longest, int) and input_shape[0] > longest:
            raise PipelineError(
                f"model: {pretrained} takes {longest} tokens at most, and the dataset gives {input_shape[0]}: "
                f"set dataset.max_length: {longest}"
            )
        self.pooling = pooling
        self.head = nn.Linear(self.body.config.hidden_size, outputs)
        if frozen:
            self.body.requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length) of whole numbers to (n, outputs)."""
        there = tokens >= 0
        hidden = self.body(input_ids=tokens.clamp(min=0).long(), attention_mask=there.long()).last_hidden_state
        output: Tensor = self.head(self._pooled(hidden, there))
        return output

    def _pooled(self, hidden: Tensor, there: Tensor) -> Tensor:
        if self.pooling == "first":
            return hidden[:, 0]
        weights = there.to(hidden.dtype)
        if self.pooling == "last":
            weights = weights * (there.sum(1, keepdim=True) == there.cumsum(1))
        return (hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)

    @staticmethod
    def content(options: Mapping[str, Any]) -> dict[str, str]:
        """The hash that identifies commits instead of the place of the weights."""
        return {"pretrained": content_hash(pretrained_folder(options["pretrained"], _KEY), _KEY)}


def _body(pretrained: str, dropout: float) -> Any:
    """The transformer without a head; on the meta device its configuration alone is read."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        import transformers
        from transformers.utils.logging import disable_progress_bar
    except ModuleNotFoundError as error:
        raise PipelineError(f"model: transformers is not installed: {EXTRA}") from error
    disable_progress_bar()
    folder = pretrained_folder(pretrained, _KEY)
    content_hash(folder, _KEY)
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        for name, value in list(vars(config).items()):
            if "dropout" in name and isinstance(value, (int, float)):
                setattr(config, name, dropout)
        if torch.get_default_device().type == "meta":
            body = transformers.AutoModel.from_config(config)
        else:
            body = transformers.AutoModel.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise PipelineError(f"{_KEY}: {folder} is no model that transformers can read: {reason}") from error
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # its output is not used
    return body
