"""Where the result of a submitted run will be: its lineage and its MLflow run, as far as known before it starts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from orchestrator.redact import redact

if TYPE_CHECKING:
    from orchestrator.jobs.runtime_env import Shipment
    from pipelines.config.document import Document
    from pipelines.config.schema import Pipeline

# Data of at most this many bytes is read here, to compute the ids of the commits.
_MOST_BYTES = 200 * 2**20
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_DOWNLOADED = ("mnist", "fashion-mnist")
# Short timeouts for the requests here; the run itself waits longer.
_HASTE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


@dataclass(frozen=True)
class Prospect:
    """What is known about the run of one pipeline.

    Attributes:
        pipeline: name of the pipeline.
        storage: where its lineage is stored; as written in the file if only the cluster knows the values of variables.
        commits: ids of its commits, oldest first; None if its data cannot be read here, or if the settings are not
            known yet.
        uri: tracking URI of MLflow, written like `storage`.
        experiment: name of the MLflow experiment.
        run_id: id of the MLflow run, if it exists.
        url: page of the run, or the page that will list it; None if MLflow does not answer here.
    """

    pipeline: str
    storage: str
    commits: list[str] | None
    uri: str
    experiment: str
    run_id: str | None
    url: str | None

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "pipeline": self.pipeline,
            "storage": self.storage,
            "lineage": self.commits,
            "tracking": {
                "uri": self.uri,
                "experiment": self.experiment,
                "run_id": self.run_id,
                "url": self.url,
            },
        }

    def lines(self) -> list[str]:
        """As text for a person."""
        lineage = f"lineage  {self.storage.rstrip('/')}/{self.pipeline}"
        if self.commits:
            lineage += f", up to commit {self.commits[-1][:12]}"
        where = self.url or f"{self.uri}, experiment {self.experiment}"
        if self.url is None and self.commits:
            where += f", the run with the tag everlearn.run = {self.commits[-1][:12]}..."
        return [lineage, f"MLflow   {where}"]


def prospects(shipment: Shipment) -> list[Prospect]:
    """What is known about the run of each pipeline. Takes seconds, and sends nothing to the cluster."""
    pairs = zip(shipment.pipelines, shipment.documents, strict=True)
    return [_prospect(pipeline, document, shipment) for pipeline, document in pairs]


def _prospect(pipeline: Pipeline, document: Document, shipment: Shipment) -> Prospect:
    from pipelines.config.environment_variables import DEFAULT_STORAGE, DEFAULT_TRACKING

    tracking = document.get(("tracking",))
    written = tracking.get("uri") if isinstance(tracking, dict) else tracking
    storage, _ = _resolved(document.get(("storage",)) or DEFAULT_STORAGE, shipment.environment)
    uri, known = _resolved(written or DEFAULT_TRACKING, shipment.environment)
    # A search or a comparison makes other commits than the pipeline itself.
    commits = _commits(pipeline) if shipment.kind == "run" else None
    experiment = pipeline.tracking.experiment
    run_id, url = _page(uri, experiment, commits[-1] if commits else None) if known else (None, None)
    return Prospect(pipeline.name, redact(storage), commits, redact(uri), experiment, run_id, url)


def _resolved(text: str, environment: Mapping[str, str]) -> tuple[str, bool]:
    """An address as the job will read it, and whether it is known here: only the cluster may have its variables."""
    from pipelines.config.environment_variables import expand

    names = _VARIABLE.findall(text)
    if not all(name in environment for name in names):
        return text, False
    return expand(text), True


def _commits(pipeline: Pipeline) -> list[str] | None:
    if not _at_hand(pipeline):
        return None
    try:
        from orchestrator.lineage.plan import make_plan
        from pipelines.build import make_stream

        return [planned.id for planned in make_plan(pipeline, make_stream(pipeline))]
    except Exception:
        # The data may only be where the job runs. If it is wrong, the job reports that.
        return None


def _at_hand(pipeline: Pipeline) -> bool:
    """Whether the data is on this machine and small: submitting a job must not download data."""
    dataset = pipeline.stream.dataset
    if pipeline.stream.source is not None:
        return False  # what was admitted, the job finds in the store
    if dataset.name == "digits":
        return True
    if dataset.name in _DOWNLOADED:
        return bool(dataset.options.get("folder") or os.environ.get("EVERLEARN_DATA"))
    places = [value for value in dataset.options.values() if isinstance(value, str) and "/" in value]
    if ":" in dataset.name or not places or any("://" in place for place in places):
        return False
    return sum(map(_size, places)) <= _MOST_BYTES


def _size(place: str) -> int:
    path = Path(place).expanduser()
    try:
        files = [path] if path.is_file() else [one for one in path.iterdir() if one.is_file()]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return _MOST_BYTES + 1


def _page(uri: str, experiment: str, key: str | None) -> tuple[str | None, str | None]:
    """The MLflow run, if it exists, and the page that shows or will show it."""
    from orchestrator.tracking.mlflow_client import connect, experiment_id, is_server
    from orchestrator.tracking.mlflow_ui import page

    if not is_server(uri) or not uri.startswith("http"):
        return None, None
    try:
        for name, value in _HASTE.items():
            os.environ.setdefault(name, value)
        client = connect(uri)
        number = experiment_id(client, uri, experiment)
        base = page(redact(uri), number)
        if key is None:
            return None, base
        wanted = f"tags.`everlearn.run` = '{key}'"
        for run in client.search_runs([number], wanted, max_results=1):
            return run.info.run_id, page(redact(uri), number, run.info.run_id)
        return None, f"{base}&searchFilter={quote(wanted)}"
    except Exception:
        # The server may be reachable only from the cluster.
        return None, None
