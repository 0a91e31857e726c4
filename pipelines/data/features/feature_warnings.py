"""What a person should know of the features of a table before training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.config.components import resolve

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


def feature_warnings(pipeline: Pipeline, stream: Stream) -> list[str]:
    """Codes that a model would take for numbers, a line."""
    layout = stream.layout
    if layout is None or not (layout.categories or layout.texts):
        return []
    if "layout" in getattr(resolve("models", pipeline.model.name), "provided", ()):
        return []
    coded = [position for position, _ in layout.categories[:5]] + [text.start for text in layout.texts[:5]]
    names = ", ".join(layout.names[position] for position in coded)
    return [
        f"model: {pipeline.model.name} takes the codes of {names} for numbers, as if they had an order: "
        "use tabular-mlp, which learns a vector for each value, or leave them out: dataset.features.ignore"
    ]
