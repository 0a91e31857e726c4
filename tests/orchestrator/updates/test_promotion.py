"""Promotion, proposal and rollback: what they record, which refs they move, and that both survive any kill."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import Claimed, OrchestratorError, StorageError
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.decisions import Decision, decision_state, newest_first
from orchestrator.lineage.lineage import Lineage
from orchestrator.maintenance.check_store import fsck
from orchestrator.updates.gate import judge
from orchestrator.updates.promotion import NothingToDecide, Refused, follow_verdict, promote, rollback
from pipelines.config.sections.gate_section import GateSpec
from tests.orchestrator.updates.answered_commits import (
    killed,
    open_lineage,
    pointed,
    recorded_decisions,
    write_answered,
)

AUTOMATIC = GateSpec(promote="automatic")


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return open_lineage(tmp_path)


@pytest.fixture
def chain(lineage: Lineage) -> list[str]:
    """Commits of experiences 0, 1 and 2: the second is better, the third has forgotten experience 0."""
    first = write_answered(lineage, None, [0.8])
    second = write_answered(lineage, first, [0.8, 0.9])
    third = write_answered(lineage, second, [0.5, 0.9, 0.9])
    return [first.id, second.id, third.id]


def test_the_first_is_promoted_a_good_one_follows_and_a_bad_one_changes_nothing(
    lineage: Lineage, chain: list[str]
) -> None:
    first, second, third = chain
    assert promote(lineage, first).champion is None
    promotion = promote(lineage, second, reason="looks good")
    assert (promotion.kind, promotion.champion, promotion.reason) == ("promotion", first, "looks good")
    assert pointed(lineage) == {"latest": third, "champion": second}
    with pytest.raises(Refused, match=r"refused by the gate: score .*\n.*--force") as caught:
        promote(lineage, third)
    assert caught.value.exit_status == 5
    before = recorded_decisions(lineage)
    with pytest.raises(Refused):
        promote(lineage, third)
    assert recorded_decisions(lineage) == before
    assert pointed(lineage) == {"latest": third, "champion": second}
    assert [d.kind for d in newest_first(lineage)] == ["verdict", "promotion", "verdict", "promotion", "verdict"]
    assert promote(lineage, second) == promotion


def test_force_needs_a_reason_and_is_recorded(lineage: Lineage, chain: list[str]) -> None:
    promote(lineage, chain[0])
    with pytest.raises(ValueError, match="needs a reason"):
        promote(lineage, chain[2], force=True, reason=" ")
    forced = promote(lineage, chain[2], force=True, reason="a law demands it")
    assert forced.forced and forced.champion == chain[0] and pointed(lineage)["champion"] == chain[2]


def test_what_follows_a_verdict_is_what_the_file_says(lineage: Lineage, chain: list[str]) -> None:
    first, second, third = chain
    done = follow_verdict(lineage, judge(lineage, first, AUTOMATIC), AUTOMATIC)
    assert done is not None and done.kind == "promotion"
    verdict = judge(lineage, second)
    proposal = follow_verdict(lineage, verdict)
    assert proposal is not None and proposal.kind == "proposal" and proposal.evidence == {"verdict": verdict.number}
    assert pointed(lineage) == {"latest": third, "champion": first, "proposed": second}
    assert follow_verdict(lineage, verdict) == proposal
    assert follow_verdict(lineage, judge(lineage, third, AUTOMATIC), AUTOMATIC) is None
    promote(lineage, second)
    assert pointed(lineage) == {"latest": third, "champion": second, "proposed": second}
    with pytest.raises(StorageError, match="the champion changed after"):
        follow_verdict(lineage, verdict)


@pytest.mark.parametrize(("undecided", "kind"), [("propose", "proposal"), ("promote", "promotion"), ("refuse", None)])
def test_an_undecided_verdict(lineage: Lineage, undecided: str, kind: str | None) -> None:
    first = write_answered(lineage, None, [0.8])
    other = write_answered(lineage, None, [0.79], spec={"seed": 1})
    gate = GateSpec.model_validate({"undecided": undecided, "promote": "automatic", "score": {"margin": 0.011}})
    follow_verdict(lineage, judge(lineage, first.id, gate), gate)
    verdict = judge(lineage, other.id, gate)
    assert verdict.outcome == "undecided"
    done = follow_verdict(lineage, verdict, gate)
    assert (done.kind if done else None) == kind
    if kind is None:
        with pytest.raises(Refused, match="undecided by the gate"):
            promote(lineage, other.id, gate)
    else:
        assert promote(lineage, other.id, gate).kind == "promotion"


def test_a_rollback_goes_back_marks_the_commit_bad_and_is_not_done_twice(lineage: Lineage, chain: list[str]) -> None:
    first, second, third = chain
    with pytest.raises(NothingToDecide, match="has no champion"):
        rollback(lineage, reason="x")
    promote(lineage, first)
    with pytest.raises(NothingToDecide, match="no champion before"):
        rollback(lineage, reason="x")
    promote(lineage, second)
    done = rollback(lineage, reason="wrong labels")
    assert (done.kind, done.commit, done.champion, done.state.bad) == ("rollback", first, second, (second,))
    assert rollback(lineage, reason="wrong labels") == done
    assert pointed(lineage)["champion"] == first
    for commit, why in ((second, "it was rolled back"), (third, f"it descends from commit {second[:12]}")):
        with pytest.raises(Refused, match=why):
            promote(lineage, commit)
    with pytest.raises(NothingToDecide, match="is the champion already"):
        rollback(lineage, first, reason="again")
    with pytest.raises(NothingToDecide, match="itself rolled back"):
        rollback(lineage, second, reason="again")
    assert promote(lineage, second, force=True, reason="labels were right").state.bad == ()
    assert not fsck(lineage).damage


Act = Callable[[Lineage], Decision | None]
KILLED: dict[str, tuple[Act, int]] = {
    "promote": (lambda lineage: promote(lineage, _ids(lineage)[1]), 1),
    "judge and propose": (lambda lineage: follow_verdict(lineage, judge(lineage, _ids(lineage)[1])), 1),
    "rollback": (lambda lineage: rollback(lineage, reason="bad month"), 2),
}


def _ids(lineage: Lineage) -> list[str]:
    ref = lineage.ref("latest")
    assert ref is not None
    return [commit.id for commit in lineage.chain(ref.commit)]


@pytest.mark.parametrize("name", KILLED)
def test_killed_between_every_two_writes_and_done_again_gives_the_same_records(
    name: str, lineage: Lineage, chain: list[str], tmp_path: Path
) -> None:
    act, champions = KILLED[name]
    for commit in chain[:champions]:
        promote(lineage, commit)
    whole = tmp_path / "whole"
    shutil.copytree(tmp_path / "digits", whole / "digits")
    act(open_lineage(whole))
    for number in range(1, 40):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "digits", folder / "digits")
        if not killed(folder, act, number):
            break
        again = open_lineage(folder)
        act(again)
        assert recorded_decisions(again) == recorded_decisions(open_lineage(whole)), number
        assert pointed(again) == pointed(open_lineage(whole)), number
        assert not fsck(again).damage
    assert 6 < number < 39


def test_of_two_promotions_at_once_one_wins(lineage: Lineage, chain: list[str]) -> None:
    promote(lineage, chain[0])
    others = [write_answered(lineage, None, [0.8, share]).id for share in (0.95, 0.96)]
    outcomes: dict[str, str] = {}
    ready = threading.Barrier(2)

    def act(commit: str) -> None:
        ready.wait()
        try:
            promote(Lineage(lineage.store, lineage.pipeline), commit, force=True, reason=commit)
            outcomes[commit] = "won"
        except Claimed:
            outcomes[commit] = "refused"

    threads = [threading.Thread(target=act, args=(commit,)) for commit in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [commit for commit, outcome in outcomes.items() if outcome == "won"]
    assert winners and len(outcomes) == 2
    promotions = [decision.commit for decision in newest_first(lineage) if decision.kind == "promotion"][:-1]
    # Where the second came after the first had finished, both took their turn.
    assert sorted(promotions) == sorted(winners)
    assert pointed(lineage)["champion"] == promotions[0]
    assert not fsck(lineage).damage


def test_a_decision_excludes_others_and_maintenance_but_not_a_run(lineage: Lineage, chain: list[str]) -> None:
    with claimed(lineage, "run"), claimed(lineage, "search"):
        promote(lineage, chain[0])
        with claimed(lineage, "promotion"), pytest.raises(Claimed, match="a decision on the champion"):
            promote(lineage, chain[1])
    with claimed(lineage, "promotion"), pytest.raises(Claimed), claimed(lineage, "gc"):
        raise AssertionError("never both")
    with claimed(lineage, "forget"), pytest.raises(Claimed):
        judge(lineage, chain[1])


def test_a_process_that_lost_its_claim_decides_nothing_more(lineage: Lineage, chain: list[str]) -> None:
    from orchestrator.errors import ClaimLost
    from orchestrator.lineage.decisions import append_decision

    promote(lineage, chain[0])
    with claimed(lineage, "promotion") as claim:
        held = lineage.fenced(claim.fence)
    state = decision_state(lineage).model_copy(update={"champion": chain[1]})
    with pytest.raises(ClaimLost):
        append_decision(held, kind="promotion", commit=chain[1], state=state)
    with pytest.raises(ClaimLost):
        held.point("champion", chain[1])
    assert len(recorded_decisions(lineage)) == 2 and pointed(lineage)["champion"] == chain[0]


def test_errors_have_their_exit_status() -> None:
    assert {cls.exit_status for cls in (Refused, NothingToDecide)} == {2, 5}
    assert issubclass(Refused, OrchestratorError)
