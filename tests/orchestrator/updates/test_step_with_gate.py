"""Steps of a stream that has a gate: what is trained is judged, also after a step that was killed.

Tests `orchestrator.updates.run_step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.lineage.decisions import newest_first
from orchestrator.updates.observe_pending import prequential_errors
from orchestrator.updates.promotion import rollback
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import deliver, lineage_of, pipeline_of, step

GATED = arrivals.FILE + "gate: {{score: {{margin: 0.3}}, undecided: promote, promote: automatic}}\n"


def test_a_new_model_is_judged_and_a_rolled_back_one_is_left_out(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path, text=GATED)
    lineage = lineage_of(pipeline)
    deliver(tmp_path, "a", [0, 1], rows=100)
    first = step(pipeline)
    assert first.judged is not None and first.judged["followed"] == "promotion"
    deliver(tmp_path, "b", [0, 1], seed=1, rows=100)
    second = step(pipeline)
    assert second.judged is not None and lineage.stands("champion", str(second.commit)), second.judged
    assert step(pipeline).outcome == "nothing-new"
    rollback(lineage, reason="labels were wrong")
    deliver(tmp_path, "c", [0, 1], seed=2, rows=100)
    (tmp_path / "in/b.npz").unlink()
    third = step(pipeline)
    chain = lineage.chain(str(third.commit))
    assert [commit.id for commit in chain][:1] == [first.commit] and len(chain) == 2
    assert (third.trained, third.experiences) == (1, 3)
    assert lineage.stands("champion", str(third.commit))
    assert step(pipeline).outcome == "nothing-new"


def test_a_step_that_was_killed_before_it_judged_is_completed(tmp_path: Path) -> None:
    deliver(tmp_path, "a", [0, 1], rows=100)
    step(pipeline_of(tmp_path))  # without a gate nothing is judged
    judged = step(pipeline_of(tmp_path, text=GATED))
    assert (judged.outcome, judged.trained) == ("judged", 0)
    assert lineage_of(pipeline_of(tmp_path)).stands("champion", str(judged.commit))
    assert step(pipeline_of(tmp_path, text=GATED)).outcome == "nothing-new"


CONDITIONS = "score: {{margin: 0.3}}, forgetting: {{max: 0.5}}, negative_flips: 0.9"
STRICT = f"{arrivals.FILE}gate: {{{{{CONDITIONS}, undecided: promote, promote: automatic}}}}\n"


def test_a_gate_means_the_same_where_commits_are_evaluated_on_few_test_sets(tmp_path: Path) -> None:
    found: list[list[Any]] = []
    for name, more in (("all", ""), ("few", "evaluate: {{window: 1, every: 100}}\n")):
        folder = tmp_path / name
        folder.mkdir()
        pipeline = pipeline_of(folder, text=STRICT + more)
        lineage, verdicts = lineage_of(pipeline), []
        for place, file in enumerate("abc"):
            deliver(folder, file, [0, 1, 2], seed=place, rows=60, age=1000)
            done = step(pipeline)
            assert (done.outcome, done.trained) == ("trained", 1) and step(pipeline).outcome == "nothing-new"
            last = next(one for one in newest_first(lineage) if one.kind == "verdict")
            verdicts.append((last.outcome, last.reason, last.evidence.get("findings"), last.evidence.get("gaps")))
        chain = lineage.chain(str(done.commit))
        found.append(verdicts)
        rows = [{count.experience for count in commit.row} for commit in chain]
        assert rows == [{*range(n + 1)} if name == "all" else {n} for n in range(3)]
        # How the model before each experience does on it is known all the same.
        assert [index for index, _ in prequential_errors(lineage, chain[-1], 10)] == [1, 2]
    assert found[0] == found[1] and found[0][-1][2]
