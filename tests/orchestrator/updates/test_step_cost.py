"""What a step costs after 10 and after 50 experiences: requests and bytes by kind of object, counted at the store, and
how many commits are parsed.

An idle step sends the same requests, and so does one that trains, but for test sets and the memory, where the pipeline
file asks for all of them. What grows is named, with the slope that is allowed: it was the same up to 100.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.lineage import past_outline
from orchestrator.lineage.commit import Commit
from orchestrator.lineage.decisions import append_decision, decision_state
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates import admitted_stream, observe_pending, run_step
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import deliver, lineage_of, pipeline_of

FEW, MANY = 10, 50
# So that both chains end at the same place after their last outline, and the errors of as many commits are followed.
OUTLINED = FOLLOWED = 5
PARSED = "commits parsed"
# How many of them a process still keeps is a matter of its threads.
MOST_PARSED = 2 * OUTLINED + 10
TEXT = (
    arrivals.FILE.replace("class-incremental", "domain-incremental")
    + "gate: {{score: {{margin: 0.3}}, holdout: {{samples: 20}}, undecided: promote, promote: automatic}}\n"
    + "update: {{when: drift}}\n"
)
BOUNDED = TEXT.replace("score: {{margin: 0.3}}", "score: {{on: holdout, margin: 0.3}}, recent: {{}}, forgetting: null")
# A memory has the samples of more experiences, the longer the stream, up to its capacity.
BOUNDED = BOUNDED.replace("[{{name: replay, capacity: 12}}]", "[naive]")
BOUNDED += "evaluate: {{window: 3, every: 5}}\n"
Cost = dict[str, tuple[int, int]]


class Counting:
    """Counts the requests to a store, and the bytes that go there and come back, by the folder of the key."""

    def __init__(self, store: FolderStore) -> None:
        self._store = store
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(name, found) if callable(found) else found

    def _counted(self, name: str, request: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            answer = request(*arguments)
            if name in ("list", "entries"):
                answer = list(answer)
                moved = sum(len(str(entry)) for entry in answer)
            else:
                back = answer if isinstance(answer, tuple) else (answer,)
                moved = sum(len(part) for part in (*arguments, *back) if isinstance(part, bytes))
            folder = str(arguments[0]).split("/")[1] if arguments and "/" in str(arguments[0]) else ""
            self.requests[folder] += 1
            self.bytes[folder] += moved
            return answer

        return counted

    def taken(self) -> Cost:
        found = {folder: (count, self.bytes[folder]) for folder, count in self.requests.items()}
        self.requests.clear()
        self.bytes.clear()
        return found


def costs(folder: Path, past: int, text: str) -> tuple[Cost, Cost]:
    """Of an idle step, and of one that trains, after so many experiences and as many further decisions."""
    parse = Commit.parse.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Commit], data: bytes, **options: Any) -> Commit:
        store.requests[PARSED] += 1
        return parse(cls, data, **options)  # type: ignore[no-any-return]

    folder.mkdir()
    pipeline = pipeline_of(folder, text=text)
    store = Counting(FolderStore(folder / "store"))
    with pytest.MonkeyPatch.context() as patch:
        for module in (run_step, admitted_stream, arrivals):
            patch.setattr(module, "open_store", lambda uri: store)
        patch.setattr(Commit, "parse", classmethod(counted))
        patch.setattr(past_outline, "EVERY", OUTLINED)
        patch.setattr(observe_pending, "FOLLOWED", FOLLOWED)
        for number in range(past):
            deliver(folder, f"{number:04}", [0, 1], seed=number, rows=40)
        assert arrivals.step(pipeline).trained == past
        lineage = lineage_of(pipeline)
        latest = lineage.ref("latest")
        assert latest is not None
        evidence = {"pending": [1], "rows": 12, "rule": "drift", "retune": 0, "measures": {}}
        for _ in range(past):
            state = decision_state(lineage)
            append_decision(
                lineage, kind="update", commit=latest.commit, outcome="wait", evidence=evidence, state=state
            )
        store.taken()
        assert arrivals.step(pipeline).outcome == "nothing-new"
        idle = store.taken()
        late = deliver(folder, "9999", [0, 1], seed=past, rows=80)
        with np.load(late) as held:
            np.savez(late, x=held["x"] + 9, y=held["y"])
        os.utime(late, (time.time() - 1000,) * 2)
        assert arrivals.step(pipeline).trained == 1
        return idle, store.taken()


def test_the_cost_of_a_step_does_not_grow_with_the_past(tmp_path: Path) -> None:
    (idle, training), (idle_later, training_later) = (
        costs(tmp_path / name, past, TEXT) for name, past in (("few", FEW), ("many", MANY))
    )
    more = MANY - FEW
    assert {folder: count for folder, (count, _) in idle_later.items()} == {
        folder: count for folder, (count, _) in idle.items()
    }
    # What the log says of each file, and the newest commit's score on each test set.
    grown = {folder: (idle_later[folder][1] - idle[folder][1]) / more for folder in idle}
    assert {folder for folder, size in grown.items() if size > 1} == {"admissions", "commits"}
    assert grown["admissions"] < 800 and grown["commits"] < 200
    # Each test set is read once; the past of the chain in one request, whose answer has a line for each commit.
    assert 0 < training_later.pop(PARSED)[0] <= MOST_PARSED and training.pop(PARSED)[0] > 0
    requests = {folder: (training_later[folder][0] - count) / more for folder, (count, _) in training.items()}
    assert {folder for folder, count in requests.items() if count > 0} == {"blobs"}
    assert requests["blobs"] <= 1 + 30 / more


@pytest.mark.parametrize("strategy", ["naive", "{{name: replay, capacity: 1000}}"])
def test_with_bounded_evaluation_and_the_score_on_the_holdout_only_the_memory_grows(
    tmp_path: Path, strategy: str
) -> None:
    """The memory, which holds all that was learned here, is loaded once: to train, and not to judge."""
    text = BOUNDED.replace("[naive]", f"[{strategy}]")
    (_, training), (_, later) = (
        costs(tmp_path / name, past, text) for name, past in (("few", FEW), ("many", FEW + 10))
    )
    assert 0 < later.pop(PARSED)[0] <= MOST_PARSED and training.pop(PARSED)[0] > 0
    grown = {folder: later[folder][0] - count for folder, (count, _) in training.items()}
    # A blob of the memory is read, and before the commit is written its size is asked.
    blobs = {} if strategy == "naive" else {"blobs": 2 * 10}
    assert {folder: count for folder, count in grown.items() if count} == blobs
    # The outline, which is read, and rewritten after some of the commits.
    assert 0 < later["outlines"][1] - training["outlines"][1] < 10 * 10_000
    if strategy == "naive":
        assert abs(later["blobs"][1] - training["blobs"][1]) / training["blobs"][1] < 0.1
