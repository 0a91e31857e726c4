"""Stores to test: a folder, a bucket of a real S3 server, and one that a plug-in registers."""

from pathlib import Path

import pytest

from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.store import Store
from tests.orchestrator.storage.memory_store import register
from tests.s3.server import s3_server, s3_server_of_its_own, s3_uri

__all__ = ["s3_server", "s3_server_of_its_own", "s3_uri"]


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store in turn, empty."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(f"{request.getfixturevalue('s3_uri')}/some/prefix")


@pytest.fixture
def memory_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """memory://NAME is a store, as an installed package may make it."""
    installed = tmp_path / "installed"
    installed.mkdir()
    register(installed)
    monkeypatch.syspath_prepend(str(installed))


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3), "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """As `store`, and a kind that lives in one process only."""
    if request.param == "memory":
        request.getfixturevalue("memory_stores")
        return open_store(f"memory://{tmp_path}")
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(f"{request.getfixturevalue('s3_uri')}/some/prefix")
