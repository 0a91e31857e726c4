"""Why a trial failed, and whether another attempt would fail in the same way."""

from __future__ import annotations

import torch

from orchestrator.errors import ClaimLost
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError

_FINAL = (ClaimLost, NonFiniteLoss, StrategyError, PipelineError, torch.cuda.OutOfMemoryError, MemoryError)


def final(error: BaseException) -> bool:
    """Whether another attempt with the same settings would fail in the same way."""
    return isinstance(error, _FINAL)


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = str(error).strip() or type(error).__name__
    known = isinstance(error, (NonFiniteLoss, StrategyError, PipelineError))
    return " ".join((text if known else f"{type(error).__name__}: {text}").split())[:500]
