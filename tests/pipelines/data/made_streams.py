"""Streams for tests, by the keys of a pipeline file."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from pipelines.data.streams import Stream, build_stream

OWN = "tests.pipelines.own_datasets:"


def stream(
    dataset: str = f"{OWN}arrays",
    setting: str = "class-incremental",
    experiences: int | None = None,
    order: str | Sequence[Sequence[int]] = "natural",
    transform: str | None = None,
    seed: int = 0,
    transform_options: dict[str, Any] | None = None,
    blurry: float = 0.0,
    **options: Any,
) -> Stream:
    spec = SimpleNamespace(
        dataset=SimpleNamespace(name=dataset, options=options),
        setting=setting,
        experiences=experiences,
        order=order,
        transform=None if transform is None else SimpleNamespace(name=transform, options=transform_options or {}),
        blurry=blurry,
    )
    return build_stream(spec, seed)
