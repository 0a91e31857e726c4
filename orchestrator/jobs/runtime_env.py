"""What is uploaded with a job: its pipeline files, the modules of the user, and its environment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from pipelines.config.document import Document
    from pipelines.config.schema import Pipeline
    from pipelines.config.sections.cluster_section import ClusterSpec

FILE = "pipeline.yaml"
KINDS = ("run", "tune", "compare")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT_HERE = ("__pycache__", "mlruns")


@dataclass(frozen=True)
class Shipment:
    """One or several pipelines, ready to be submitted.

    Attributes:
        pipelines: as read here; storage and tracking are placeholders, since the cluster sets their variables.
        kind: run, tune or compare.
        files: text of each file with the overrides applied, by its name in the job.
        documents: content of each file, before variables are replaced and defaults filled in.
        environment: environment variables of the job; the values may be secrets and are never printed.
        modules: folder that is uploaded; the job runs in it.
        dependencies: requirements that pip installs for the job.
        arguments: further arguments of the command that runs in the job.
        warnings: problems that a person should know before the job runs.
        beside: modules that the files name and `modules` lacks, by their names in the job's folder.
    """

    pipelines: tuple[Pipeline, ...]
    kind: str
    files: Mapping[str, str]
    documents: tuple[Document, ...]
    environment: Mapping[str, str]
    modules: Path | None
    dependencies: tuple[str, ...]
    arguments: tuple[str, ...]
    warnings: tuple[str, ...]
    beside: Mapping[str, Path] = field(default_factory=dict)

    @property
    def pipeline(self) -> str:
        """The name of the pipeline, or all names."""
        return ", ".join(pipeline.name for pipeline in self.pipelines)

    @property
    def command(self) -> str:
        """The arguments of `everlearn` in the job."""
        return shlex.join([self.kind, *self.files, *self.arguments])

    @property
    def cluster(self) -> ClusterSpec | None:
        """The first `cluster` section; None if no file has one."""
        return next((pipeline.cluster for pipeline in self.pipelines if pipeline.cluster is not None), None)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A temporary folder with the files and copies of the modules, without hidden files."""
        with tempfile.TemporaryDirectory(prefix="everlearn-") as name:
            folder = Path(name) / "job"
            if self.modules is None:
                folder.mkdir()
            else:
                shutil.copytree(self.modules, folder, ignore=_left_out, ignore_dangling_symlinks=True)
            for part, path in self.beside.items():
                if path.is_dir():
                    shutil.copytree(path, folder / part, ignore=_left_out, ignore_dangling_symlinks=True)
                else:
                    shutil.copy(path, folder / part)
            for file, text in self.files.items():
                (folder / file).write_text(text, "utf-8")
            yield folder


def prepare(
    files: Sequence[str | Path],
    kind: str = "run",
    overrides: Sequence[str] = (),
    *,
    variables: Sequence[str] = (),
    modules: Path | None = None,
    dependencies: Sequence[str] = (),
    arguments: Sequence[str] = (),
) -> Shipment:
    """Check pipeline files, and prepare them to be submitted. The arguments add to the `cluster` section of the file.

    Args:
        files: one file; for a comparison, any number.
        variables: names of environment variables that are passed from this process to the job.
        modules: folder with modules that the file uses, instead of `cluster.working_dir`.
        dependencies: requirements that pip installs for the job.
        arguments: further arguments of the command that runs in the job.

    Raises:
        PipelineError: a file or an argument is wrong, a variable is not set, or a file contains a secret.
    """
    from orchestrator.jobs.kubernetes.ray_job import STAND_INS
    from orchestrator.jobs.sent_modules import sent_modules
    from pipelines.config.document import parse
    from pipelines.config.load import load_pipeline
    from pipelines.config.overrides import apply
    from pipelines.config.shorthand import write_out

    if kind not in KINDS:
        raise PipelineError([f"--kind: must be one of {', '.join(KINDS)}, got {kind}"])
    if kind != "compare" and len(files) != 1:
        raise PipelineError([f"--kind {kind} takes one file, got {len(files)}; only --kind compare takes several"])
    if modules is not None:
        _find_modules(modules, "--working-dir")
    pipelines, documents, texts = [], [], {}
    beside: dict[str, Path] = {}
    elsewhere: list[str] = []
    for number, file in enumerate(files, start=1):
        _find_modules_of(file, overrides, instead=modules)
        # The variables in storage and tracking are those of the cluster, not of this machine.
        pipeline = load_pipeline(file, [*overrides, *STAND_INS])
        if kind == "tune" and pipeline.tune is None:
            raise PipelineError([f"{file}: has no tune section, so that there is nothing to search"])
        found, missing = sent_modules(pipeline.own_code(), [Path(file).absolute().parent, Path.cwd()])
        beside, elsewhere = found | beside, [*elsewhere, *missing]
        text = Path(file).read_text("utf-8-sig")
        document = parse(text, str(file))
        if overrides:
            import yaml

            write_out(document)
            apply(document, overrides)
            text = yaml.safe_dump(document.data, sort_keys=False, allow_unicode=True)
        _refuse_secrets(text, str(file))
        pipelines.append(pipeline)
        documents.append(document)
        texts[FILE if number == 1 else f"pipeline-{number}.yaml"] = text
    spec = next((pipeline.cluster for pipeline in pipelines if pipeline.cluster is not None), None)
    environment = _environment(variables)
    if spec is not None:
        environment = _environment(spec.env, "cluster.env: ") | environment
        dependencies = (*spec.dependencies, *dependencies)
        modules = modules or (Path(spec.working_dir).expanduser() if spec.working_dir else None)
    warnings = [text for document in documents for text in _kept_by_the_cluster(document.data, environment)]
    if modules is not None:
        beside = {part: path for part, path in beside.items() if not (modules / part).exists()}
    else:
        warnings += elsewhere
    return Shipment(
        pipelines=tuple(pipelines),
        kind=kind,
        files=texts,
        documents=tuple(documents),
        environment=environment,
        modules=modules,
        dependencies=tuple(dependencies),
        arguments=tuple(arguments),
        warnings=tuple(dict.fromkeys(warnings)),
        beside=beside,
    )


def _find_modules_of(file: str | Path, overrides: Sequence[str], *, instead: Path | None) -> None:
    """The folder in `cluster.working_dir` is needed before the file can be checked."""
    from pipelines.config.document import parse
    from pipelines.config.overrides import apply

    if instead is not None:
        return
    document = None
    # Problems of the file are reported together later, when it is checked.
    with suppress(PipelineError, OSError, UnicodeDecodeError):
        document = parse(Path(file).read_text("utf-8-sig"), str(file))
        apply(document, overrides)
    folder = document.get(("cluster", "working_dir")) if document is not None else None
    if isinstance(folder, str) and folder:
        _find_modules(Path(folder).expanduser(), f"{file}: cluster.working_dir")


def _find_modules(folder: Path, where: str) -> None:
    if not folder.is_dir():
        raise PipelineError([f"{where}: {folder} is not a folder"])
    if str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))


def _environment(names: Sequence[str], option: str = "--env ") -> dict[str, str]:
    problems = []
    for name in names:
        # The argument may be the secret itself, so it is not repeated.
        if _NAME.fullmatch(name) is None:
            shown = name.partition("=")[0] if "=" in name else "the argument"
            problems.append(
                f"--env: {shown}: give the name of a variable only; its value is read from the environment here"
            )
        elif name not in os.environ:
            problems.append(f"{option}{name}: is not set in the environment of this process")
    if problems:
        raise PipelineError(problems)
    return {name: os.environ[name] for name in names}


def _refuse_secrets(text: str, source: str) -> None:
    from orchestrator.redact import redact

    problems = [
        f"{source}:{number}: looks like a secret, which everyone in the cluster could read: "
        "write ${NAME} instead, and submit with --env NAME"
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
        yield f"storage: {storage} is only on the head of the cluster{_lost(str(storage))}: use s3://bucket/prefix"
    variable = "MLFLOW_TRACKING_URI"
    if uri is None and variable not in environment:
        yield _left_to_the_cluster("tracking.uri", variable)
    elif uri is not None and not str(uri).startswith(("http://", "https://", "${")):
        path = str(uri).removeprefix("sqlite:///").removeprefix("file://")
        if "://" not in path:
            yield f"tracking.uri: {uri} is only on the head of the cluster{_lost(path)}: use an MLflow server"


def _left_to_the_cluster(key: str, variable: str) -> str:
    return f"{key}: is not in the file: unless {variable} is set in the cluster, it is lost with the job"


def _lost(path: str) -> str:
    return "" if path.startswith("/") else ", in the folder of the job, and lost with it"


def _left_out(folder: str, names: list[str]) -> set[str]:
    hidden = {name for name in names if name.startswith(".") and name != ".gitignore"}
    return hidden | {name for name in names if name in _KEPT_HERE}
