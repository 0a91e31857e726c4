"""An option that is a time, such as 30s, 5m or 1h."""

from __future__ import annotations

from typing import Any

import click


class Duration(click.ParamType[float]):
    """From text to seconds, more than 0."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of a text with a unit; a float is seconds already."""
        from pipelines.config.sections.source_section import seconds_of

        try:
            seconds = value if isinstance(value, float) else seconds_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return seconds if seconds > 0 else self.fail("must be longer than 0", param, ctx)
