"""What an experience costs does not grow with those before it: counted, not timed, over a stream of twenty.

The model and a full memory stay as large as they are, and so must requests, reads and bytes.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from orchestrator.events import CommitWritten, Event
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.rank import RankTraining
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream
from strategies.loop.process_group import Group

EXPERIENCES, STEADY = 20, 6
# Bytes of a commit for each experience before: the entry of a memory's shard, and a bit for each answer on its tests.
SHARD, ANSWERS = 250, 150
TEXT = """
name: growth
stream: {{dataset: digits, setting: domain-incremental, transform: permute, experiences: {experiences}}}
model: {{name: mlp, hidden: [8]}}
strategy: [{strategy}]
train: {{steps: 3, batch_size: 32, checkpoint_every: 0}}
storage: {folder}
"""


class Counting:
    """A store that counts its requests by kind, and the bytes that they write and read."""

    def __init__(self, store: Any) -> None:
        self.counts: Counter[str] = Counter()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def counted(*arguments: Any) -> Any:
            answer = found(*arguments)
            self.counts[name] += 1
            self.counts["written"] += sum(len(value) for value in arguments if isinstance(value, bytes))
            content = answer[0] if isinstance(answer, tuple) else answer
            self.counts["read"] += len(content) if isinstance(content, bytes) else 0
            if name in ("list", "entries", "folders"):
                answer = list(answer)
                self.counts["listed"] += len(answer)
                return iter(answer)
            return answer

        return counted


def costs(folder: Path, strategy: str) -> list[Counter[str]]:
    """What each experience asked of the store."""
    pipeline = load_text(TEXT.format(folder=folder, experiences=EXPERIENCES, strategy=strategy))
    stream = build_stream(pipeline.stream, pipeline.seed)
    store: Any = Counting(open_store(pipeline.storage))
    after: list[Counter[str]] = [Counter()]

    def on_event(event: Event) -> None:
        if isinstance(event, CommitWritten):
            after.append(store.counts.copy())

    RankTraining(
        pipeline=pipeline,
        stream=stream,
        plan=make_plan(pipeline, stream),
        lineage=Lineage(store, pipeline.name),
        group=Group(),
        device=torch.device("cpu"),
        on_event=on_event,
    ).run()
    return [now - before for before, now in pairwise(after)]


@pytest.mark.parametrize("strategy", ["{name: ewc, lambda: 1, samples: 20}", "{name: replay, capacity: 200}"])
def test_the_last_experience_costs_what_an_early_one_does(strategy: str, tmp_path: Path) -> None:
    found = costs(tmp_path, strategy)
    early, last = found[STEADY], found[-1]
    more = EXPERIENCES - 1 - STEADY
    shards = more if "replay" in strategy else 0
    # A memory keeps what it has of each experience in a file of its own: each is asked for, and named in the commit.
    assert last.pop("size") - early.pop("size") == shards
    for part in ("written", "read"):
        assert last.pop(part) - early.pop(part) <= SHARD * shards + ANSWERS * more, part
    assert last == early
