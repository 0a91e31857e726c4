"""The options of low-rank adapters."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from strategies.adapters.low_rank import ALL
from strategies.api.influence import LEARNED
from strategies.api.strategy import StrategyOptions

_FIXED: dict[str, Any] = {"fixed": True}


class AdapterOptions(StrategyOptions):
    """Size and places of low-rank adapters."""

    rank: Annotated[int, LEARNED] = Field(
        default=8, ge=1, json_schema_extra=_FIXED, description="Rank of the product that is added to each layer."
    )
    alpha: Annotated[float, LEARNED] = Field(
        default=16.0,
        gt=0,
        allow_inf_nan=False,
        json_schema_extra=_FIXED,
        description="The product is multiplied by alpha / rank.",
    )
    targets: Annotated[tuple[str, ...], LEARNED] = Field(
        default=(ALL,),
        min_length=1,
        json_schema_extra=_FIXED,
        description=(
            "Names of the linear layers that get an adapter, or the ends of their names, such as [query, value]; "
            f"{ALL}: all but the head."
        ),
    )
