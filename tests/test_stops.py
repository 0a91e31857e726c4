"""A few of the stops of `python -m tests.stops`: one takeover of each kind of writer."""

from pathlib import Path

import pytest

from orchestrator.lineage import claim as claims
from orchestrator.lineage.claim import Claim
from tests.stops import WRITERS, forgotten, stopped


@pytest.mark.parametrize(("writer", "jump"), [(writer, jump) for writer in WRITERS for jump in (1e6, -1e6)])
def test_who_is_stopped_and_wakes_writes_nothing(
    writer: str, jump: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERLEARN_CLAIM_LEASE", "0.05")
    monkeypatch.setattr(claims, "_machine", lambda: None)
    monkeypatch.setattr(Claim, "_renew", lambda self: None)
    number = {"run": 30, "tune": 30, "forget": 15, "gc": 11, "copy": 25}[writer]
    assert stopped(writer, number, jump, tmp_path, forgotten) == ""
