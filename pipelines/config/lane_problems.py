"""What a pipeline with `stream.lanes` cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipelines.config.document import KeyPath
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from pipelines.config.schema import StrategySpec
    from pipelines.config.sections.stream_section import StreamSpec


def lane_problems(stream: StreamSpec, strategies: Sequence[StrategySpec], workers: int) -> list[tuple[KeyPath, str]]:
    """Each with its place in the file.

    Args:
        workers: the most that train.
    """
    if stream.lanes is None:
        return []
    problems: list[tuple[KeyPath, str]] = []
    if stream.lanes < workers:
        message = f"must be at least the number of workers, which is {workers}, got {stream.lanes}"
        problems.append((("stream", "lanes"), message))
    if reads_blocks(stream.dataset.name):
        problems += [(("strategy", at), why) for at, one in enumerate(strategies) if (why := _refusal(one))]
    return problems


def reads_blocks(dataset: str) -> bool:
    """Whether a dataset's files are read by blocks in streams with lanes: its module says so by `BLOCKS`."""
    from pipelines.config.components import declared

    return declared("datasets", dataset, "BLOCKS") is not None


def _refusal(one: StrategySpec) -> str | None:
    from pipelines.config.components import resolve
    from strategies.api.compatibility import Listed, blocks_refusal

    try:
        return blocks_refusal(Listed(resolve("strategies", one.name), one.options, one.name))
    except (PipelineError, ValidationError):
        return None  # said with its line where the options are checked
