"""Soft prompts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from strategies.adapters.low_rank import freeze_but_head, frozen_names
from strategies.adapters.prompted_network import PromptedNetwork
from strategies.adapters.soft_prompts import PromptedModel, stored_prompts, token_embedding
from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy
from strategies.api.strategy_errors import StrategyError
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import integer
from strategies.methods.lora import LoRA
from strategies.networks.output_layer import head_name, stored_head
from strategies.networks.separate_tasks import SeparateTasks, TaskOptions

_STREAM = "stream"
"""The name of the one prompt of a stream."""


class PromptOptions(TaskOptions):
    """Options of `prompt`; `infer_task` and `exposure` are for a prompt per experience."""

    length: Annotated[int, LEARNED] = Field(
        default=20,
        ge=1,
        json_schema_extra={"fixed": True},
        description="Vectors in front of a text; without effect where inputs are no tokens.",
    )
    alpha: Annotated[float, Influence(added="0.2")] = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        json_schema_extra={"fixed": True},
        description=(
            "A prompt is alpha times the numbers that are trained. It begins as the same vectors, and then moves alpha "
            "times as fast beside the head, which has the same rate, with an optimiser such as Adam."
        ),
    )
    per: Annotated[Literal["stream", "experience"], LEARNED] = Field(
        default="stream",
        json_schema_extra={"fixed": True},
        description=(
            "stream: one prompt, which all experiences train. experience: a prompt and a head for each, in front of "
            "the frozen prompts of those before it, chosen by the task label, which never change again."
        ),
    )


class Prompt(LoRA):
    """Prompt tuning: Lester et al. 2021, The power of scale for parameter-efficient prompt tuning, section 2.

    The model is frozen. It reads [P; E(x)] instead of E(x): a matrix P of `length` trainable vectors in front of the
    embeddings of a text's tokens. P begins as the embeddings of tokens that are drawn. Only P and the head learn (with
    objective: next-token P alone), and only they are in a commit. Few parameters are trained, which suits small data
    sets. The paper's rate, 0.3, is for a model whose embeddings are large; where they are small, as in encoders of the
    kind of BERT, a prompt moves out of their range in a few steps, and `alpha` below 1 slows it down beside the head.

    With `per: experience` as in Razdaibiedina et al. 2023, Progressive prompts: continual learning for language models,
    section 2.2: experience k learns P_k with [P_k; ...; P_1; E(x)], where the earlier prompts are frozen, and nothing
    is forgotten where task labels are given.

    Inputs that are no tokens get a trainable tensor of their own shape added instead (Bahng et al. 2022, Exploring
    visual prompts for adapting large-scale models, section 3.2), which begins at 0.
    """

    name = "prompt"
    summary = "A few trained vectors in front of each text, read by a frozen, pretrained model"
    paper = "Lester et al. 2021, The power of scale for parameter-efficient prompt tuning; Razdaibiedina et al. 2023"
    guide = Guide(
        time="a forward and backward pass through the frozen model, on texts that are longer by the prompt",
        memory="a prompt: a few thousand numbers",
        use_when="a large pretrained model and few samples; with replay on one shared head",
    )
    learns_sharded = False
    Options = PromptOptions  # type: ignore[assignment]

    options: PromptOptions  # type: ignore[assignment]

    @classmethod
    def variant(cls, options: Any) -> type[Strategy]:
        return PromptPerExperience if options.per == "experience" else cls

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Freeze the model, except its head, and put the prompt in, before the first experience."""
        model = learner.model
        if isinstance(model, PromptedModel):
            return
        head, embedding = _parts(learner, self.name)
        freeze_but_head(model, head)
        self._head = head
        prompted = PromptedModel(model, embedding, self.options.alpha)
        prompted.add_prompt(_STREAM, self.options.length, learner.example(), integer(learner.seed, self.name))
        learner.model = prompted.to(learner.device)
        _try(learner, self.name)

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        stored = stored_prompts(state)
        if stored is None or isinstance(model, PromptedModel):
            return model
        embedding = _embedding(model, stored[0])
        freeze_but_head(model, self._head)
        prompted = PromptedModel(model, embedding, self.options.alpha)
        prompted.restore_prompt(_STREAM, state)
        return prompted

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        return {"base": frozen_names(model)} if isinstance(model, PromptedModel) else {}


class PromptPerExperience(SeparateTasks):
    """`prompt` with a prompt and a head for each experience."""

    name = Prompt.name
    family = Prompt.family
    summary = Prompt.summary
    paper = Prompt.paper
    guide = Prompt.guide
    Options = PromptOptions

    options: PromptOptions

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Add a prompt and a head; the first experience turns the model into a `PromptedNetwork`."""
        network = learner.model
        if not isinstance(network, PromptedNetwork):
            network = PromptedNetwork(network, *_parts(learner, self.name), self.options.alpha)
        seed = integer(learner.seed, self.name, experience.index)
        units = self.task_units(learner, experience)
        network.add_task(units, experience.index, self.options.length, learner.example(), seed)
        network.infer = self.options.infer_task
        learner.model = network.to(learner.device)
        _try(learner, self.name)

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        stored = stored_prompts(state)
        if stored is None:
            return model
        if not isinstance(model, PromptedNetwork):
            names = {name.removeprefix("body.body.").replace(".base_layer.", ".") for name in state}
            head = stored_head(model, lambda name: f"{name}.weight" in names)
            model = PromptedNetwork(model, head, _embedding(model, stored[0]), self.options.alpha)
        model.restore_tasks(state)
        model.infer = self.options.infer_task
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, Collection[str]]:
        if not isinstance(model, PromptedNetwork):
            return {}
        return {"base": frozen_names(model.body, "body."), **model.task_parts()}


def _parts(learner: Learner, who: str) -> tuple[str, str]:
    """The names of the model's head ('' where it stays frozen), and of its embedding of tokens."""
    with learner.evaluating(), torch.no_grad():
        example = learner.example()
        head = "" if learner.objective.targets == "tokens" else head_name(learner.model, example, who)
        return head, token_embedding(learner.model, example, who)


def _try(learner: Learner, who: str) -> None:
    """Run the model once.

    Raises:
        StrategyError: it cannot read texts that are as long as with the prompts.
    """
    try:
        with learner.evaluating(), torch.no_grad():
            learner.model(learner.example())
    except (IndexError, RuntimeError) as error:
        raise StrategyError(
            f"{who}: the model cannot read texts that are longer by the prompts: lower stream.dataset.max_length, or "
            f"length of the prompt ({str(error).partition(chr(10))[0][:120]})"
        ) from error


def _embedding(model: nn.Module, stored: str) -> str:
    """The name in the model of the embedding that a state calls `stored`, behind the wrappers' prefixes.

    Raises:
        ValueError: the model has none.
    """
    name = stored
    while name.startswith("body.") and not isinstance(_found(model, name), nn.Embedding):
        name = name.removeprefix("body.")
    if stored and not isinstance(_found(model, name), nn.Embedding):
        raise ValueError(f"it has prompts in {stored!r}, which is no embedding of the model")
    return name


def _found(model: nn.Module, name: str) -> nn.Module | None:
    return dict(model.named_modules()).get(name)
