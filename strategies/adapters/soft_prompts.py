"""Soft prompts: learned vectors in front of a text's tokens, or added to other inputs, of a frozen model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from strategies.adapters.adapted_linear import Adapted
from strategies.api.strategy_errors import StrategyError
from strategies.networks.output_layer import put

_MARK = "prompts."


class SoftPrompts(Adapted):
    """Prompts by name, of which the active ones are used.

    Attributes:
        prompts: (length, d) each in front of tokens, or (1, *shape) to add to inputs.
        alpha: a prompt is used as `alpha` times these numbers.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.prompts = nn.ParameterDict()

    def add(self, name: str, values: Tensor) -> None:
        """Add a prompt, which is then active with all before it; the others are frozen."""
        self.prompts.requires_grad_(False)
        self.prompts[name] = nn.Parameter(values.clone())
        self.active = tuple(self.prompts)

    def adapter_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """See `Adapted`."""
        return [(f"{_MARK}{name}", p) for name, p in self.prompts.items()]


class AddedPrompts(SoftPrompts):
    """The sum of the active prompts is added to the inputs."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *shape) to (n, *shape)."""
        for name in self.active:
            inputs = inputs + self.alpha * self.prompts[name]
        return inputs


class PromptedEmbedding(SoftPrompts):
    """An embedding of tokens: the first ones become the active prompts, the newest in front.

    Attributes:
        base_layer: the frozen embedding.
    """

    def __init__(self, base_layer: nn.Embedding, alpha: float) -> None:
        super().__init__(alpha)
        self.base_layer = base_layer.requires_grad_(False)

    @property
    def weight(self) -> Tensor:
        """(tokens, d) of the embedding."""
        return self.base_layer.weight

    @property
    def length(self) -> int:
        """Vectors of all active prompts."""
        return sum(len(self.prompts[name]) for name in self.active)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, length + words) to (n, length + words, d)."""
        own: Tensor = self.base_layer(tokens)
        if not self.active:
            return own
        prompt = self.alpha * torch.cat([self.prompts[name] for name in reversed(self.active)])
        return torch.cat([prompt.expand(len(own), -1, -1), own[:, len(prompt) :]], 1)


class PromptedModel(nn.Module):
    """A model with soft prompts. A model of tokens reads them in front of each text, and answers for the text alone.

    Attributes:
        body: the model.
    """

    def __init__(self, body: nn.Module, embedding: str, alpha: float = 1.0) -> None:
        """
        Args:
            body: is changed: its embedding becomes a `PromptedEmbedding`.
            embedding: name of the embedding of its tokens; empty: prompts are added to the inputs.
            alpha: as in `SoftPrompts`.
        """
        super().__init__()
        self.inputs = None if embedding else AddedPrompts(alpha)
        if embedding:
            layer = body.get_submodule(embedding)
            assert isinstance(layer, nn.Embedding)
            body = put(body, embedding, PromptedEmbedding(layer, alpha))
        self.body = body
        self._embedding = embedding

    @property
    def prompts(self) -> SoftPrompts:
        """Where the prompts are."""
        if self.inputs is not None:
            return self.inputs
        layer = self.body.get_submodule(self._embedding)
        assert isinstance(layer, PromptedEmbedding)
        return layer

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, *shape) to what the model gives for them."""
        layer = self.prompts
        if not isinstance(layer, PromptedEmbedding):
            output: Tensor = self.body(layer(inputs))
            return output
        # Placeholder tokens: the embedding replaces them by the prompts, and masks and positions have the full length.
        places = inputs.new_zeros(len(inputs), layer.length)
        output = self.body(torch.cat([places, inputs], 1))
        return output[:, :, layer.length :] if output.dim() == 3 else output

    def add_prompt(self, name: str, length: int, example: Tensor, seed: int) -> None:
        """Add a prompt: embeddings of drawn tokens (Lester et al. 2021, section 3.2), or 0 to add to inputs.

        Args:
            length: vectors in front of a text.
            example: (n, *shape), a few prepared inputs.
            seed: of the draw.
        """
        layer = self.prompts
        if isinstance(layer, PromptedEmbedding):
            tokens = torch.randint(layer.base_layer.num_embeddings, (length,), generator=_generator(seed))
            layer.add(name, layer.weight.detach()[tokens.to(layer.weight.device)] / layer.alpha)
        else:
            layer.add(name, torch.zeros_like(example[:1]))

    def restore_prompt(self, name: str, state: Mapping[str, Tensor], prefix: str = "") -> None:
        """Add the prompt that a stored state has.

        Args:
            prefix: of this model's names in the state.

        Raises:
            ValueError: it has none of this name, or one of another shape.
        """
        layer = self.prompts
        path = f"body.{self._embedding}" if self._embedding else "inputs"
        stored = state.get(f"{prefix}{path}.{_MARK}{name}")
        fits = stored is not None and stored.is_floating_point()
        if stored is not None and isinstance(layer, PromptedEmbedding):
            fits = fits and stored.dim() == 2 and stored.shape[1] == layer.base_layer.embedding_dim and len(stored) > 0
        elif stored is not None:
            fits = fits and stored.dim() > 1 and stored.shape[0] == 1
        if stored is None or not fits:
            raise ValueError(f"its prompt {name!r} is missing or has another shape")
        layer.add(name, torch.zeros_like(stored))


def token_embedding(model: nn.Module, inputs: Tensor, who: str) -> str:
    """The name of the embedding that reads a model's tokens; empty for inputs that are no tokens.

    Args:
        inputs: a few prepared inputs.
        who: the strategy's name, for the error.

    Raises:
        StrategyError: the inputs are tokens, and no torch.nn.Embedding reads them.
    """
    if inputs.is_floating_point():
        return ""
    tokens, found = inputs.clamp(min=0), []

    def keep(name: str, given: Tensor) -> None:
        if given.shape == tokens.shape and bool((given == tokens).all()):
            found.append(name)

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Embedding)]
    handles = [
        layer.register_forward_pre_hook(lambda _, args, name=name: keep(name, args[0])) for name, layer in layers
    ]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise StrategyError(
            f"{who} puts vectors in front of a text's tokens, and no torch.nn.Embedding of the model reads them: "
            "use {name: lora}"
        )
    return found[0]


def stored_prompts(state: Mapping[str, Tensor]) -> tuple[str, list[str]] | None:
    """The embedding with prompts in a stored state ('' for added ones), and the prompts' names as they are ordered."""
    marked = [name for name in state if f".{_MARK}" in name]
    if not marked:
        return None
    path = marked[0].rpartition(f".{_MARK}")[0]
    names = sorted((name.rpartition(".")[2] for name in marked), key=lambda name: (len(name), name))
    return ("" if path.endswith("inputs") else path), names


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed % 2**63)
