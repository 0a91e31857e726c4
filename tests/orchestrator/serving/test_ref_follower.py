"""Following a ref: what is loaded, what is said, and how often."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.checkpointing.load_model import load_model
from orchestrator.errors import StorageError
from orchestrator.lineage.lineage import Lineage
from orchestrator.prediction.predicting import Predicting
from orchestrator.serving import ref_follower
from orchestrator.serving.model_swap import ModelSwap
from orchestrator.serving.ref_follower import RefFollower, ServingEvent, check_words, ref_reader
from pipelines.config.pipeline_errors import PipelineError
from tests.orchestrator.serving.conftest import Chain


def following(chain: Chain, target: Callable[[], str | None]) -> tuple[RefFollower, ModelSwap, list[ServingEvent]]:
    told: list[ServingEvent] = []

    def load(commit: str) -> Predicting:
        return load_model(chain.pipeline, commit)

    swap = ModelSwap(load)
    return RefFollower(target, swap, told.append, name="champion", first_pause=10), swap, told


def test_each_thing_is_said_once(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(ref_follower.time, "monotonic", lambda: clock[0])
    first, second = chain.commits[:2]
    missing = "ab" * 32
    now: list[str | Exception | None] = [None]
    tried = []

    def target() -> str | None:
        if isinstance(now[0], Exception):
            raise now[0]
        return now[0]

    follower, swap, told = following(chain, target)
    move = swap.move_to
    monkeypatch.setattr(swap, "move_to", lambda commit: tried.append((clock[0], commit)) or move(commit))

    def turns(answer: str | Exception | None, seconds: int = 3) -> list[str]:
        now[0] = answer
        told.clear()
        for _ in range(seconds):
            clock[0] += 1
            follower.turn()
        return [event.kind for event in told]

    assert turns(None) == ["waiting"] and follower.failure is None
    assert turns(first) == ["swapped"] and told[0].previous is None
    assert turns(StorageError("s3://bucket: away\nmore")) == ["unreachable"]
    assert told[0].text == "cannot read ref champion: s3://bucket: away" and follower.failure is not None
    assert swap.current is not None and swap.current.commit == first
    assert turns(first) == ["reachable"]
    tried.clear()
    start = clock[0]
    assert turns(missing, 80) == ["refused"] and told[0].text.endswith(f"; commit {first[:12]} keeps answering")
    # Again and again, after pauses that double.
    assert [at - start for at, _ in tried] == [1, 11, 31, 71]
    assert turns(second) == ["swapped"] and (told[0].commit, told[0].previous) == (second, first)
    assert turns(missing) == ["refused"] and turns(second) == [] and turns(first) == ["swapped"]


def test_a_word_is_a_ref_or_the_beginning_of_an_id(chain: Chain) -> None:
    assert ref_reader(chain.lineage, "latest")() == chain.commits[-1]
    assert ref_reader(chain.lineage, chain.commits[1][:10])() == chain.commits[1]
    assert ref_reader(chain.lineage, "champion")() is None


def test_words_that_nothing_can_ever_name_are_refused(chain: Chain) -> None:
    check_words(chain.lineage, ("champion", "proposed", "latest", chain.commits[1][:7], chain.commits[2]))
    with pytest.raises(PipelineError, match=r"no ref or commit 'chmapion' of pipeline digits in .*: .*refs latest; "):
        check_words(chain.lineage, ("champion", "chmapion"))
    with pytest.raises(PipelineError, match="'my champion' is not a ref's name"):
        check_words(chain.lineage, ("my champion",))
    # A store with nothing in it yet: any ref may come.
    check_words(Lineage(chain.lineage.store, "another"), ("mine",))
