"""Stores to test: a folder, and a bucket of a real S3 server."""

from pathlib import Path

import pytest

from orchestrator.storage import Store, open_store
from tests.s3.server import s3_server, s3_server_of_its_own, s3_uri

__all__ = ["s3_server", "s3_server_of_its_own", "s3_uri"]


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each kind of store in turn, empty."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    return open_store(f"{request.getfixturevalue('s3_uri')}/some/prefix")
