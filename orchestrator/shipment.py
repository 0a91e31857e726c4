"""What a job of a pipeline takes along to a Ray cluster: its file, the user's modules, and its environment."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import PipelineError

FILE = "pipeline.yaml"
KINDS = ("run", "tune", "compare")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT_HERE = ("__pycache__", "mlruns")


@dataclass(frozen=True)
class Shipment:
    """A pipeline, ready to be sent.

    Attributes:
        pipeline: its name.
        kind: run, tune or compare.
        text: the pipeline file, with the overrides in it.
        environment: of the job; the values may be secrets, and are never printed.
        warnings: what a person should know before the job runs.
    """

    pipeline: str
    kind: str
    text: str
    environment: Mapping[str, str]
    warnings: tuple[str, ...]

    @contextmanager
    def folder(self, modules: Path | None = None) -> Iterator[Path]:
        """A temporary folder with the file and a copy of `modules`, without what begins with a dot."""
        with tempfile.TemporaryDirectory(prefix="everlearn-") as name:
            folder = Path(name) / "job"
            if modules is None:
                folder.mkdir()
            else:
                shutil.copytree(modules, folder, ignore=_left_out, ignore_dangling_symlinks=True)
            (folder / FILE).write_text(self.text, "utf-8")
            yield folder


def prepare(
    file: str | Path,
    kind: str = "run",
    overrides: Sequence[str] = (),
    *,
    variables: Sequence[str] = (),
    modules: Path | None = None,
) -> Shipment:
    """Check a pipeline file, and make it ready to be sent.

    Args:
        variables: names of environment variables that the job gets from this process.
        modules: folder with the components that the file names.

    Raises:
        PipelineError: the file or an argument is wrong, a variable is not set, or the file holds a secret.
    """
    from orchestrator.kubernetes.job import STAND_INS
    from pipelines.document import parse
    from pipelines.load import load_pipeline
    from pipelines.overrides import apply
    from pipelines.shorthand import write_out

    if kind not in KINDS:
        raise PipelineError([f"--kind: must be one of {', '.join(KINDS)}, got {kind}"])
    environment = _environment(variables)
    if modules is not None:
        if not modules.is_dir():
            raise PipelineError([f"--working-dir: {modules} is no folder"])
        if str(modules.resolve()) not in sys.path:
            sys.path.append(str(modules.resolve()))
    # Storage and tracking are what the cluster's environment makes of them, not this machine's.
    pipeline = load_pipeline(file, [*overrides, *STAND_INS])
    if kind == "tune" and pipeline.tune is None:
        raise PipelineError([f"{file}: there is no tune section: nothing to search"])
    text = Path(file).read_text("utf-8-sig")
    document = parse(text, str(file))
    if overrides:
        import yaml

        write_out(document)
        apply(document, overrides)
        text = yaml.safe_dump(document.data, sort_keys=False, allow_unicode=True)
    _refuse_secrets(text, str(file))
    return Shipment(pipeline.name, kind, text, environment, tuple(_kept_by_the_cluster(document.data, environment)))


def _environment(names: Sequence[str]) -> dict[str, str]:
    problems = []
    for name in names:
        # What was typed may be the secret itself: it is not repeated.
        if _NAME.fullmatch(name) is None:
            shown = name.partition("=")[0] if "=" in name else "the argument"
            problems.append(
                f"--env: {shown}: give a variable's name alone; its value is taken from the environment here"
            )
        elif name not in os.environ:
            problems.append(f"--env {name}: is not set in the environment here")
    if problems:
        raise PipelineError(problems)
    return {name: os.environ[name] for name in names}


def _refuse_secrets(text: str, source: str) -> None:
    from orchestrator.redact import redact

    problems = [
        f"{source}:{number}: looks like a secret, and would be readable in the cluster: "
        "write ${NAME} in its place, and submit with --env NAME"
        for number, line in enumerate(text.splitlines(), start=1)
        if redact(line) != line
    ]
    if problems:
        raise PipelineError(problems)


def _kept_by_the_cluster(document: Any, environment: Mapping[str, str]) -> Iterator[str]:
    tracking = document.get("tracking")
    uri = tracking.get("uri") if isinstance(tracking, dict) else tracking
    storage, variable = document.get("storage"), "EVERLEARN_STORAGE"
    if storage is None and variable not in environment:
        yield _left_to_the_cluster("storage", variable)
    elif storage is not None and not str(storage).startswith(("s3://", "${")):
        yield f"storage: {storage} is kept by the cluster's head alone{_lost(str(storage))}: use s3://bucket/prefix"
    variable = "MLFLOW_TRACKING_URI"
    if uri is None and variable not in environment:
        yield _left_to_the_cluster("tracking.uri", variable)
    elif uri is not None and not str(uri).startswith(("http://", "https://", "${")):
        path = str(uri).removeprefix("sqlite:///").removeprefix("file://")
        if "://" not in path:
            yield f"tracking.uri: {uri} is kept by the cluster's head alone{_lost(path)}: use an MLflow server"


def _left_to_the_cluster(key: str, variable: str) -> str:
    return (
        f"{key}: is not in the file: unless {variable} is set in the cluster, it is kept with the job, and lost with it"
    )


def _lost(path: str) -> str:
    return "" if path.startswith("/") else ", in the job's own folder, and lost with it"


def _left_out(folder: str, names: list[str]) -> set[str]:
    hidden = {name for name in names if name.startswith(".") and name != ".gitignore"}
    return hidden | {name for name in names if name in _KEPT_HERE}
