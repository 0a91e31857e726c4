"""The scores that a pipeline file names, in `score` and `metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.config.components import resolve
from pipelines.config.document import KeyPath
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.suggest import did_you_mean
from strategies.metrics import Score, find_score

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline


def named_scores(pipeline: Pipeline) -> tuple[Score, ...]:
    """First the score of the matrix, then the further ones, each once.

    Raises:
        PipelineError: the objective cannot be imported, or offers no such score; never for a pipeline that was loaded.
    """
    objective: Any = resolve("objectives", pipeline.objective.name)
    found: dict[str, Score] = {}
    for name in (pipeline.score or objective.default_score, *(pipeline.metrics or ())):
        score = find_score(name, objective.offered())
        if score is None:
            raise PipelineError(_unknown(name, objective))
        found.setdefault(score.name, score)
    return tuple(found.values())


def score_problems(pipeline: Pipeline) -> list[tuple[KeyPath, str]]:
    """What is wrong with the names in `score` and `metrics`, with the places in the file."""
    try:
        objective: Any = resolve("objectives", pipeline.objective.name)
    except PipelineError:
        return []  # said with its line where the objective is checked
    places: list[tuple[KeyPath, str]] = [] if pipeline.score is None else [(("score",), pipeline.score)]
    places += [(("metrics", index), name) for index, name in enumerate(pipeline.metrics or ())]
    return [(at, _unknown(name, objective)) for at, name in places if find_score(name, objective.offered()) is None]


def _unknown(name: str, objective: Any) -> str:
    names = [score.name for score in objective.offered()]
    close = did_you_mean(name, names)
    hint = f", did you mean '{close}'?" if close else "."
    return f"{objective.name} has no score '{name}'{hint} It has: {', '.join(names)}"
