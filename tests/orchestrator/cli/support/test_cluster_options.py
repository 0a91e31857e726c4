"""How the commands find the cluster of a job."""

from pathlib import Path

import pytest

from orchestrator.cli.support.cluster_options import cluster_of, jobs_of
from orchestrator.errors import ClusterError
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.jobs_server import JobsServer

TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\nstorage: ${NOWHERE}\n"


def test_the_section_of_a_file_whatever_its_storage_is(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    assert cluster_of(None) is None
    file.write_text(TEXT)
    assert cluster_of(str(file)) is None
    file.write_text(TEXT + "cluster: {address: 'http://head:8265'}\n")
    found = cluster_of(str(file))
    assert found is not None and found.address == "http://head:8265"
    file.write_text("name: 1")
    with pytest.raises(PipelineError):
        cluster_of(str(file))


def test_an_option_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, nobody = tmp_path / "p.yaml", "http://127.0.0.1:9"
    with JobsServer().running() as server:
        file.write_text(TEXT + f"cluster: {{address: '{server.address}'}}\n")
        section = cluster_of(str(file))
        monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
        assert jobs_of(None, None, section).address == server.address
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", nobody)
        with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9"):
            jobs_of(None, None, section)
        assert jobs_of(server.address, None, section).address == server.address
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS")
    with pytest.raises(ClusterError, match="--address"):
        jobs_of(None, None, None)
