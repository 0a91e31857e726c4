"""Lineages to take care of: in a folder, and in a bucket of a real S3 server."""

from pathlib import Path

import pytest

from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from tests.s3.server import s3_server, s3_uri

__all__ = ["s3_server", "s3_uri"]


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.s3)])
def lineage(request: pytest.FixtureRequest, tmp_path: Path) -> Lineage:
    """In each kind of store in turn, empty."""
    uri = str(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_uri") + "/some/prefix"
    return Lineage(open_store(uri), "digits")
