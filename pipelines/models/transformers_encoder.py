"""Pretrained models of Hugging Face's transformers: encoders with a classifier, and causal language models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.config.pipeline_errors import PipelineError
from pipelines.models.causal_lm import CausalLM
from pipelines.models.pretrained_folder import EXTRA, content_hash, pretrained_folder

MOST_KEPT = 1_000_000
"""Texts whose features are kept at most, by each process: with 384 features they take 1.5 GB."""

_KEY = "model.pretrained"


@cache
def kept_features(model: str) -> dict[bytes, Tensor]:
    """The features, (d,), of each text by its tokens, shared by all models of this process with the same frozen part.

    Args:
        model: identifies the frozen part.
    """
    return {}


class TransformersEncoder(nn.Module):
    """A pretrained transformer, below a linear classifier or with its own head.

    A classifier takes the tokens of the dataset `text`. With its own head the transformer predicts the next token of
    the dataset `documents`, with objective: next-token.

    Weights are read from .safetensors files alone, and no code of the folder is run. Dropout is 0 unless it is given:
    each worker draws its own, so that with dropout the number of workers changes what is learned.

    Args:
        input_shape: (length,): the tokens of a text, padded at the end with -1.
        outputs: units of the head: classes, or tokens of the tokenizer.
        pretrained: a folder with config.json and .safetensors files, or an id of the Hugging Face hub. Commits are
            identified by the content of the files, not by their place.
        head: sequence-classification: a new linear layer. causal-lm: the pretrained one, which may share its weights
            with the embedding.
        pooling: what enters a classifier: the mean over a text's tokens, its first token, or its last one.
        dropout: probability in all dropout layers of the transformer.
        frozen: only the head learns. The features of a text are computed alone, without padding, and kept in memory:
            a text passes through the transformer once in a process, whatever batch it comes in.
        gradient_checkpointing: compute hidden states again in the backward pass instead of keeping them: less memory,
            about a third more time.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        *,
        pretrained: Annotated[str, Field(min_length=1, max_length=4096)],
        head: Literal["sequence-classification", "causal-lm"] = "sequence-classification",
        pooling: Literal["mean", "first", "last"] = "mean",
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        frozen: bool = False,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if len(input_shape) != 1:
            raise PipelineError(
                f"model: transformers takes tokens, (length,), but an input has the shape {input_shape}: "
                "use the dataset `text`"
            )
        random = torch.random.get_rng_state()
        causal = head == "causal-lm"
        self.body = _body(pretrained, dropout, causal)
        # What the library draws, for weights that the folder lacks, does not decide how the head begins.
        torch.random.set_rng_state(random)
        longest = getattr(self.body.config, "max_position_embeddings", None)
        if isinstance(longest, int) and input_shape[0] > longest:
            raise PipelineError(
                f"model: {pretrained} takes {longest} tokens at most, and the dataset gives {input_shape[0]}: "
                f"set dataset.max_length: {longest}"
            )
        self.pooling, self.dropout = pooling, dropout
        self.frozen = frozen
        self._kept: dict[bytes, Tensor] | None = None
        if gradient_checkpointing:
            self.body.activation_checkpointing_enable()
        if causal:
            if frozen:
                raise PipelineError("model.frozen: is for head: sequence-classification: use {name: lora} instead")
            self.body = CausalLM(self.body, outputs, pretrained)
            return
        self.head = nn.Linear(self.body.config.hidden_size, outputs)
        self._own = frozenset(name for name, _ in self.body.named_parameters())
        if frozen:
            self.body.requires_grad_(False)
            self._kept = kept_features(f"{self.content({'pretrained': pretrained})['pretrained']} {pooling}")

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length) of whole numbers to (n, outputs), or of a causal language model to (n, outputs, length)."""
        if isinstance(self.body, CausalLM):
            logits: Tensor = self.body(tokens)
            return logits
        features = self._kept_features(tokens) if self._keeps() else self._features(tokens)
        output: Tensor = self.head(features)
        return output

    def _keeps(self) -> bool:
        """Whether the features of a text are always the same; with adapters put into the body they are not."""
        if self._kept is None or self.training_dropout or torch.compiler.is_compiling():
            return False
        return all(name in self._own for name, _ in self.body.named_parameters())

    @property
    def training_dropout(self) -> bool:
        """Whether the features are drawn anew in each pass."""
        return self.training and self.dropout > 0

    def _features(self, tokens: Tensor) -> Tensor:
        there = tokens >= 0
        hidden = self.body(input_ids=tokens.clamp(min=0).long(), attention_mask=there.long()).last_hidden_state
        return self._pooled(hidden, there)

    def _kept_features(self, tokens: Tensor) -> Tensor:
        assert self._kept is not None
        rows, found = tokens.cpu(), []
        for row in rows:
            key = row.numpy().tobytes()
            features = self._kept.get(key)
            if features is None:
                with torch.inference_mode(False), torch.no_grad():
                    own = row[row >= 0][None].clone().to(tokens.device)
                    features = self._features(own)[0].cpu()
                if len(self._kept) < MOST_KEPT:
                    self._kept[key] = features
            found.append(features)
        return torch.stack(found).to(self.head.weight) if found else self._features(tokens)

    def _pooled(self, hidden: Tensor, there: Tensor) -> Tensor:
        if self.pooling == "first":
            return hidden[:, 0]
        weights = there.to(hidden.dtype)
        if self.pooling == "last":
            weights = weights * (there.sum(1, keepdim=True) == there.cumsum(1))
        return (hidden * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """As torch's; features that other weights gave are not used any more."""
        if self._kept is not None:
            stored = ((state_dict.get(f"{prefix}body.{name}"), t) for name, t in self.body.state_dict().items())
            if any(new is not None and (old.is_meta or not torch.equal(new.to(old), old)) for new, old in stored):
                self._kept = {}
        super()._load_from_state_dict(state_dict, prefix, *args)

    @staticmethod
    def content(options: Mapping[str, Any]) -> dict[str, str]:
        """The hash that identifies commits instead of the place of the weights."""
        return {"pretrained": content_hash(pretrained_folder(options["pretrained"], _KEY), _KEY)}


def _body(pretrained: str, dropout: float, causal: bool) -> Any:
    """The transformer, without a head unless it is causal; on the meta device its configuration alone is read."""
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
        kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
        if torch.get_default_device().type == "meta":
            body = kind.from_config(config)
        else:
            body = kind.from_pretrained(
                folder, config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise PipelineError(f"{_KEY}: {folder} is no model that transformers can read: {reason}") from error
    if getattr(body, "pooler", None) is not None:
        body.pooler = None  # its output is not used
    return body
