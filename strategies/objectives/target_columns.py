"""Targets with a column for each output: what regression and multi-label learning have in common."""

from __future__ import annotations

import math

from torch import Tensor

from strategies.api.strategy_errors import StrategyError


def as_columns(targets: Tensor) -> Tensor:
    """Targets as (n, k); (n,) is one column."""
    return targets[:, None] if targets.dim() == 1 else targets


def active_columns(output: Tensor, columns: int) -> Tensor:
    """The outputs that belong to the targets' columns, (n, columns), in their order.

    In a task-incremental stream each task has an output for each column, and those of other tasks are at -inf.

    Args:
        output: (n, outputs).
    """
    if output.shape[1] == columns:
        return output
    active = output[output != -math.inf]
    if active.numel() != len(output) * columns:  # outputs have diverged to -inf: the loss is not finite
        return output[:, :columns] * math.nan
    return active.view(len(output), columns)


def check_head(targets: Tensor, outputs: int) -> None:
    """Refuse targets, (n, k), for whose columns a head of `outputs` units does not have as many units.

    Raises:
        StrategyError: says so.
    """
    columns = targets.shape[1]
    if columns == 0 or outputs % columns:
        raise StrategyError(
            f"the targets have {columns} columns, and the model {outputs} outputs: it needs one for each column "
            "(in a task-incremental stream for each column of each task)"
        )
