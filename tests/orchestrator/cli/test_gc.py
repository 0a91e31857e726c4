"""`everlearn gc`: what it says, in words and in JSON, and its exit statuses."""

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.lineage import Lineage
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.maintenance.lineages import grow


def test_gc_says_what_it_does_and_refuses_beside_a_run(lineage: Lineage, capsys: pytest.CaptureFixture[str]) -> None:
    chain = grow(lineage, 3)
    grow(lineage, 2, variant=1, ref=None)
    assert invoke(["gc", "p.yaml"]) == 0
    assert "nothing to remove, 5 commits kept" in capsys.readouterr().out
    assert invoke(["gc", "p.yaml", "--now", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "2 commits, " in out and "would be removed" in out
    assert len(list(lineage.commits())) == 5
    with claimed(lineage, "run"):
        assert invoke(["gc", "p.yaml", "--now"]) == 3
        assert "another run (host " in capsys.readouterr().err
    document = documented(capsys, 0, "gc", "p.yaml", "--now", "--keep", "1")
    assert len(document["commits"]) == 2
    assert document["thinned"] == sorted(c.id for c in chain[:2])
    assert document["kept"] == 3 and document["dry_run"] is False
    assert invoke(["log", "p.yaml"]) == 0
    assert capsys.readouterr().out.count("record only") == 2
    assert invoke(["show", chain[0].id, "p.yaml"]) == 0
    assert "removed by everlearn gc" in capsys.readouterr().out
    assert invoke(["gc", "p.yaml", "--keep", "0"]) == 2
