"""A console that writes out the terminal controls in whatever it prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from orchestrator.progress.printable import printable


class SafeConsole(Console):
    """Like rich's Console. Text, also in tables and live displays, cannot control the terminal; rich itself can."""

    def render_str(self, text: str, **options: Any) -> Text:
        """A string, such as a cell of a table, made printable before it is measured."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of `renderable`, with their text made printable."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
