"""The message and the exit status of a command that fails."""

from __future__ import annotations

import errno

import click

FAILED, WRONG, UNUSABLE, INTERRUPTED, BROKEN_PIPE, TERMINATED = 1, 2, 3, 130, 141, 143


def failure_status(error: Exception) -> int:
    """1 the run failed, 2 the file or the arguments are wrong, 3 storage, tracking or cluster unavailable."""
    from orchestrator.errors import OrchestratorError
    from pipelines.config.pipeline_errors import PipelineError
    from strategies.api.strategy_errors import StrategyError

    if isinstance(error, OrchestratorError):
        return error.exit_status
    if isinstance(error, click.ClickException):
        return error.exit_code
    if isinstance(error, PipelineError | StrategyError):
        return WRONG
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return UNUSABLE
    return FAILED


def failure_lines(error: Exception) -> list[str]:
    """What is wrong, where, and what to do. Problems of a pipeline file are printed unchanged, one per line, so that an
    editor can jump to them."""
    from orchestrator.errors import OrchestratorError
    from orchestrator.redact import redact
    from pipelines.config.pipeline_errors import PipelineError
    from strategies.api.allocation_failure import is_allocation_failure
    from strategies.api.strategy_errors import NonFiniteLoss, StrategyError

    if isinstance(error, PipelineError):
        return [redact(problem) for problem in error.problems]
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "everlearn"
        return [f"{path}: {_sentence(error.format_message())}", f"Try '{path} --help'."]
    if isinstance(error, click.ClickException):
        return [f"everlearn: {_sentence(error.format_message())}"]
    if isinstance(error, OrchestratorError | StrategyError | NonFiniteLoss):
        return f"everlearn: {redact(str(error))}".splitlines()
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return [f"everlearn: {where}{error.strerror}"]
    if is_allocation_failure(error):
        reason = redact(str(error)).strip().partition("\n")[0] or type(error).__name__
        return [f"everlearn: not enough memory: {reason}", "Make the model, the batches or the memories smaller."]
    text = redact(str(error)).strip() or "no message"
    first, *rest = text.splitlines()
    more = " [...]" if rest else ""
    return [
        f"everlearn: unexpected {type(error).__name__}: {first}{more}",
        "This is a bug in Everlearn or in a component of the pipeline; --debug shows the traceback.",
    ]


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")
