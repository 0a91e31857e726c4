"""An error of a worker on its way to the driver, where it is raised again."""

from __future__ import annotations

import traceback

from orchestrator.errors import OrchestratorError, RunFailed
from orchestrator.events import RunError
from orchestrator.training.user_code import user_line
from pipelines.config.pipeline_errors import PipelineError
from strategies.api.strategy_errors import NonFiniteLoss, StrategyError

_KNOWN = (OrchestratorError, PipelineError, StrategyError, NonFiniteLoss)


def as_event(error: BaseException) -> RunError:
    """An error of a worker as an event."""
    known = isinstance(error, _KNOWN)
    return RunError(
        type(error).__name__,
        str(error) or type(error).__name__,
        known,
        where="" if known else user_line(error) or "",
        trace="".join(traceback.format_exception(error)),
    )


def as_error(event: RunError) -> Exception:
    """The error that the event describes, to be raised in the driver."""
    found = _error(event)
    if event.trace:
        found.add_note(f"\nIn the worker:\n{event.trace}")
    return found


def _error(event: RunError) -> Exception:
    name, text = event.type, event.text
    if name == "NonFiniteLoss" or not event.known:
        return RunFailed(text if event.known else _with_line(f"{name} in a worker: {text}", event.where))
    for base in (PipelineError, StrategyError, OrchestratorError):
        for kind in (base, *_descendants(base)):
            if kind.__name__ == name:
                return kind([text]) if issubclass(kind, PipelineError) else kind(text)
    return RunFailed(text)


def raised_here(error: Exception) -> Exception:
    """What an error of the training in this process means to the caller: as for an error of a worker."""
    event = as_event(error)
    if event.known and not isinstance(error, NonFiniteLoss):
        return error
    return RunFailed(event.text if event.known else _with_line(f"{event.type}: {event.text}", event.where))


def _with_line(text: str, where: str) -> str:
    """The message, and below it the user's line; one that is long already keeps its first line."""
    return f"{text.splitlines()[0]}\n{where}" if where else text


def _descendants(kind: type[Exception]) -> list[type[Exception]]:
    found = kind.__subclasses__()
    return found + [further for sub in found for further in _descendants(sub)]
