"""What the commands share: their arguments and options, and how they load a pipeline file."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from strategies.api.uncollected_imports import uncollected

if TYPE_CHECKING:
    from pipelines.config.schema import Pipeline

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Settings:
    """What several functions need to know of the command line."""

    verbose: bool = False
    debug: bool = False
    own_process: bool = False
    """Whether this process is the command's alone, as it is at a terminal."""
    interrupted: str = "Interrupted."
    loaded: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    """Pipeline files that were read, with their overrides."""


class Terminated(KeyboardInterrupt):
    """The command was stopped by SIGTERM."""


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and parameter.name is not None:
        setattr(context.find_root().ensure_object(Settings), parameter.name, True)


class Command(click.Command):
    """A command with --verbose and --debug. It silences libraries before they are imported."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            _flag("--verbose", "Show the log output of Ray, MLflow and PyTorch."),
            _flag("--debug", "Show a traceback when something fails."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        from orchestrator.cluster.log_levels import quiet

        settings = ctx.find_root().ensure_object(Settings)
        quiet(settings.verbose)
        try:
            return super().invoke(ctx)
        except Exception as error:
            _locate(error, settings)
            raise
        except SystemExit as stop:
            if isinstance(stop.__context__, BrokenPipeError):
                raise
            # On a signal, Ctrl-C included, Ray raises SystemExit.
            raise (Terminated if stop.code == signal.SIGTERM else KeyboardInterrupt) from stop


def _flag(name: str, text: str) -> click.Option:
    return click.Option([name], is_flag=True, expose_value=False, callback=_remember, help=text)


def file_argument(required: bool = True) -> Callable[[F], F]:
    """The pipeline file. The loader checks that it exists: its message is better than that of click."""
    return click.argument("file", metavar="FILE" if required else "[FILE]", required=required, type=click.Path())


set_option = click.option(
    "--set",
    "overrides",
    metavar="K=V",
    multiple=True,
    help="Set a value of the file, such as train.epochs=2 or strategy.ewc.lambda=1000. Repeatable.",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout, and nothing else."
)


def _locate(error: Exception, settings: Settings) -> None:
    """Add the line in the pipeline file to problems that were found in the data, if only one file was loaded."""
    from pipelines.config.load import locate
    from pipelines.config.pipeline_errors import PipelineError

    if isinstance(error, PipelineError) and len(settings.loaded) == 1:
        file, overrides = settings.loaded[0]
        error.problems[:] = [locate(problem, file, overrides) for problem in error.problems]


def load(file: str, overrides: Sequence[str], *, import_code: bool = True) -> Pipeline:
    """Read a pipeline file.

    Args:
        import_code: see `load_pipeline`; commands that neither train nor validate import none of the user's code.

    Raises:
        PipelineError: the file or an override is wrong.
    """
    settings = _note(file, overrides)
    with uncollected(keep=settings is not None and settings.own_process and len(settings.loaded) == 1):
        from pipelines.config.load import load_pipeline

        return load_pipeline(Path(file), list(overrides), import_code=import_code)


def load_place(file: str, overrides: Sequence[str]) -> tuple[str, str]:
    """The name and the storage of a pipeline file, for a command that needs no more: PyTorch is not loaded.

    Raises:
        PipelineError: the file or an override is wrong.
    """
    from pipelines.config.load import load_place

    _note(file, overrides)
    return load_place(Path(file), list(overrides))


def _note(file: str, overrides: Sequence[str]) -> Settings | None:
    """Errors in the data are reported with their line in the file."""
    context = click.get_current_context(silent=True)
    if context is None:
        return None
    settings = context.find_root().ensure_object(Settings)
    settings.loaded.append((file, tuple(overrides)))
    return settings


def program() -> str:
    """`everlearn` as a person has to type it: with its path if the shell does not find this installation."""
    import shutil

    called = Path(sys.argv[0])
    if called.name != "everlearn":
        return "everlearn"
    found = shutil.which("everlearn")
    if found is not None and called.exists() and called.samefile(found):
        return "everlearn"
    here = Path.cwd()
    return str(called.relative_to(here) if called.is_relative_to(here) else called)


def as_arguments(file: str, overrides: Sequence[str]) -> str:
    """The file and the overrides that a further command needs in order to find the same store and runs."""
    import shlex

    kept = [item for item in overrides if item.partition("=")[0].partition(".")[0] in ("name", "storage", "tracking")]
    return shlex.join([file, *(part for item in kept for part in ("--set", item))])
