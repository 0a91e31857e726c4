"""Bottleneck adapters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from strategies.adapters.bottleneck import BottleneckLinear
from strategies.adapters.low_rank import ALL
from strategies.api.guide import Guide
from strategies.api.influence import LEARNED, Influence
from strategies.api.strategy import Strategy
from strategies.methods.lora import LoRA, LoRAPerExperience
from strategies.networks.separate_tasks import TaskOptions


class BottleneckOptions(TaskOptions):
    """Options of `adapter`; `infer_task` and `exposure` are for an adapter per experience."""

    size: Annotated[int, LEARNED] = Field(
        default=16, ge=1, json_schema_extra={"fixed": True}, description="Width m of the bottleneck."
    )
    alpha: Annotated[float, Influence(added="0.2")] = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        json_schema_extra={"fixed": True},
        description="What an adapter adds is multiplied by it: its pace beside the head's, which has the same rate.",
    )
    targets: Annotated[tuple[str, ...], LEARNED] = Field(
        default=(ALL,),
        min_length=1,
        json_schema_extra={"fixed": True},
        description=(
            "Names of the linear layers that get an adapter behind them, or the ends of their names; for a transformer "
            "those that end its two sublayers, such as [attention.output.dense, output.dense] or [o_proj, down_proj]. "
            f"{ALL}: all but the head."
        ),
    )
    per: Annotated[Literal["stream", "experience"], LEARNED] = Field(
        default="stream",
        json_schema_extra={"fixed": True},
        description=(
            "stream: one adapter, which all experiences train, and which forgets as a model does. experience: an "
            "adapter and a head for each, chosen by the task label, which never change again."
        ),
    )


class Adapter(LoRA):
    """Adapters: Houlsby et al. 2019, Parameter-efficient transfer learning for NLP, section 2.1.

    The model is frozen. Each of the chosen linear layers is followed, before the skip connection of its sublayer, by a
    bottleneck with its own skip connection: h + alpha (U gelu(D h + d) + u), where the paper has alpha = 1. D has m
    rows. U and u start at 0, so that a new adapter is the identity. Only the adapters and the head learn, and a commit
    holds only these and their optimiser state. (The paper trains the layer normalisations as well; here they are frozen
    with the model.)

    Unlike the product of `lora` it is not linear, and cannot be merged into the layer's weights. `per` is as in `lora`,
    and so are the methods that can be listed with it.
    """

    name = "adapter"
    summary = "Bottleneck adapters in a frozen, pretrained model: one for the stream, or one per experience"
    paper = "Houlsby et al. 2019, Parameter-efficient transfer learning for NLP"
    guide = Guide(
        time="a forward and backward pass through the frozen model and the adapters, and updates of these alone",
        memory="an adapter: a few percent of the model",
        use_when="as lora, where what has to be added to a layer is not linear; with replay on one shared head",
    )
    Options = BottleneckOptions  # type: ignore[assignment]
    adapters = BottleneckLinear

    options: BottleneckOptions  # type: ignore[assignment]

    @classmethod
    def variant(cls, options: Any) -> type[Strategy]:
        return AdapterPerExperience if options.per == "experience" else cls

    def dimensions(self) -> tuple[float, int]:
        return self.options.alpha, self.options.size


class AdapterPerExperience(LoRAPerExperience):
    """`adapter` with an adapter and a head for each experience."""

    name = Adapter.name
    family = Adapter.family
    summary = Adapter.summary
    paper = Adapter.paper
    guide = Adapter.guide
    Options = BottleneckOptions  # type: ignore[assignment]
    adapters = BottleneckLinear

    options: BottleneckOptions  # type: ignore[assignment]

    def dimensions(self) -> tuple[float, int]:
        return self.options.alpha, self.options.size
