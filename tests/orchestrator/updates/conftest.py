"""A real S3 server for the sources and stores of the tests, and a store that is killed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates import admitted_stream, run_step
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import KillableStore
from tests.s3.server import s3_server, s3_uri

__all__ = ["opened", "s3_server", "s3_uri"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[..., KillableStore]:
    """Makes every store that is opened from now on the same one, which is killed before its n-th write."""

    def instead(uri: str, killed_at: int = 0) -> KillableStore:
        store = KillableStore(FolderStore(Path(uri)), killed_at)
        for module in (run_step, admitted_stream, arrivals):
            monkeypatch.setattr(module, "open_store", lambda uri: store)
        return store

    return instead
