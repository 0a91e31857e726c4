from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from tests.orchestrator.jobs_server import JobsServer

DIGITS = """
name: digits
stream: {dataset: digits, setting: class-incremental, experiences: 5}
model: {name: mlp, hidden: [8]}
strategy: [{name: replay, capacity: 12}]
"""


@pytest.fixture
def jobs_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsServer]:
    """A cluster's dashboard with one job, `job-1`; RAY_API_SERVER_ADDRESS leads there."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE", "RAY_JOB_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    metadata = {"everlearn.kind": "run", "everlearn.pipeline": "small"}
    body = {"submission_id": "job-1", "entrypoint": "python -m orchestrator.cli.main run", "metadata": metadata}
    with JobsServer(submitted=[body]).running() as server:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", server.address)
        yield server


@pytest.fixture
def lineage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lineage:
    """The empty lineage of `p.yaml`, in the working directory, with the default storage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERLEARN_STORAGE", raising=False)
    (tmp_path / "p.yaml").write_text(DIGITS)
    return Lineage(FolderStore(tmp_path / ".everlearn/store"), "digits")


@pytest.fixture(scope="module")
def standing_ray() -> Iterator[None]:
    """A Ray of two CPUs for all commands of a module: `RAY_ADDRESS` leads there."""
    import ray

    from orchestrator.cluster.connect import cluster
    from orchestrator.cluster.log_levels import quiet
    from pipelines.config.load import load_text

    quiet()
    two = "name: x\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\nscaling: {workers: 2}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with cluster(None, load_text(two).scaling):
            patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
            yield
