"""`everlearn gate`, `promote`, `rollback` and `audit`: what they say, in words and in JSON, and their exit statuses.

Covers: `orchestrator/cli/promote.py`, `orchestrator/cli/rollback.py`, `orchestrator/cli/audit.py`
Covers: `orchestrator/cli/support/follow_champion.py`
"""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage import layout
from orchestrator.lineage.lineage import Lineage
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.updates.answered_commits import pointed, recorded_decisions, write_answered


@pytest.fixture
def chain(lineage: Lineage) -> list[str]:
    """Commits of experiences 0 to 2: the second is better, the third has forgotten experience 0."""
    first = write_answered(lineage, None, [0.8])
    second = write_answered(lineage, first, [0.8, 0.9])
    return [first.id, second.id, write_answered(lineage, second, [0.5, 0.9, 0.9]).id]


def test_a_commit_is_judged_promoted_and_rolled_back(
    lineage: Lineage, chain: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = chain
    assert invoke(["audit", "p.yaml"]) == 0
    assert "no decision yet" in capsys.readouterr().out
    assert invoke(["promote", "p.yaml", first[:8]]) == 0
    assert f"champion {first[:12]} (the first, decision 2)" in capsys.readouterr().out
    assert documented(capsys, 0, "promote", "p.yaml", second)["champion"] == first
    verdict = documented(capsys, 5, "gate", "p.yaml")
    assert (verdict["commit"], verdict["outcome"], verdict["champion"]) == (third, "refused", second)
    assert invoke(["gate", "p.yaml", third[:8]]) == 5
    out = capsys.readouterr().out
    assert "refused (decision 5)" in out and "forgetting" in out and "experience 0" in out
    before = (recorded_decisions(lineage), pointed(lineage))
    assert invoke(["promote", "p.yaml"]) == 5
    assert "refused by the gate" in capsys.readouterr().err
    assert (recorded_decisions(lineage), pointed(lineage)) == before
    assert invoke(["promote", "p.yaml", third, "--force"]) == 2
    assert "--force needs --reason" in capsys.readouterr().err
    assert invoke(["promote", "p.yaml", third, "--force", "--reason", "a test of people"]) == 0
    assert "forced): a test of people" in capsys.readouterr().out
    done = documented(capsys, 0, "rollback", "p.yaml", "--reason", "it forgot")
    assert (done["commit"], done["state"]["bad"]) == (second, [third])
    assert invoke(["rollback", "p.yaml", "--to", second, "--reason", "twice"]) == 2
    assert "is the champion already" in capsys.readouterr().err
    listed = documented(capsys, 0, "audit", "p.yaml")
    assert [one["kind"] for one in listed["decisions"]][:2] == ["rollback", "promotion"]
    assert invoke(["audit", "p.yaml"]) == 0
    out = capsys.readouterr().out
    assert f"rolled back to {second[:12]}" in out and "it forgot" in out and "forced" in out


def test_a_changed_history_is_an_error(lineage: Lineage, chain: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["promote", "p.yaml", chain[0]]) == 0
    lineage.store.delete(layout.decision_key(lineage.pipeline, 1))
    assert invoke(["audit", "p.yaml"]) == 3
    assert "are missing" in capsys.readouterr().err
    assert invoke(["fsck", "p.yaml"]) == 1


def test_log_and_show_mark_the_champion_the_proposal_and_bad_commits(
    lineage: Lineage, chain: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for commit in chain[:2]:
        assert invoke(["promote", "p.yaml", commit]) == 0
    assert invoke(["rollback", "p.yaml", "--reason", "worse"]) == 0
    capsys.readouterr()
    assert invoke(["log", "p.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "champion" in line and chain[0][:12] in line]
    assert [line for line in lines if "bad" in line and chain[1][:12] in line]
    assert [one["bad"] for one in documented(capsys, 0, "log", "p.yaml")["commits"]] == [False, True, False]
    assert invoke(["show", chain[1], "p.yaml"]) == 0
    assert "rolled back" in capsys.readouterr().out
    assert documented(capsys, 0, "show", chain[1], "p.yaml")["bad"] is True


def test_webhooks_that_cannot_be_told_are_warned_of(
    lineage: Lineage, chain: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_HOOK", raising=False)
    file = Path("p.yaml")
    file.write_text(file.read_text() + "gate: {notify: [{url_from: NO_SUCH_HOOK}]}\n")
    assert invoke(["promote", "p.yaml", chain[0]]) == 0
    assert "NO_SUCH_HOOK is not set" in capsys.readouterr().err
    assert lineage.stands("champion", chain[0])
