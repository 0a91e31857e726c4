"""Errors of pipeline files, arguments and datasets: every problem found, one line each."""

from __future__ import annotations

from collections.abc import Iterable


class PipelineError(Exception):
    """A pipeline file or an argument is wrong.

    `problems` lists every problem found, one line each; `str()` joins them with newlines.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class DataError(PipelineError):
    """A dataset is missing, cannot be read, or does not fit the stream that the pipeline asks for."""
