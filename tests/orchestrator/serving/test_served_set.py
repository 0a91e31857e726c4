"""Several commits and adapters that answer at a time: each request gets the model's own answer of the one it names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.checkpointing.load_model import load_model
from orchestrator.checkpointing.shared_weights import SharedWeights
from orchestrator.serving.batch_answers import Reply, task_network
from orchestrator.serving.ref_follower import ref_reader
from orchestrator.serving.request_body import Question
from orchestrator.serving.served_set import ServedSet, followers, turn_all
from tests.orchestrator.serving.adapters import STRATEGIES, Adapted, chains

__all__ = ["chains"]


@pytest.fixture(scope="module")
def served(chains: dict[str, Adapted]) -> dict[str, ServedSet]:
    """All three commits of each chain, by words that a request may say."""
    found = {}
    for kind, chain in chains.items():
        first, second, third = chain.commits
        chain.lineage.point("champion", third)
        chain.lineage.point("latest", second)
        models = ServedSet(SharedWeights(chain.pipeline).load, "champion", ("latest", first[:12]))
        said: list[str] = []
        moves = followers(
            models,
            lambda word, chain=chain: ref_reader(chain.lineage, word),  # type: ignore[misc]
            lambda word, event, said=said: said.append(f"{word} {event.kind} {event.text}"),  # type: ignore[misc]
        )
        turn_all(moves)
        assert said[1] == f"latest swapped latest: commit {second[:12]} answers" and len(said) == 3
        found[kind] = models
    return found


def question(inputs: np.ndarray[Any, Any], commit: str | None = None, experience: int | None = None) -> Question:
    return Question(json.dumps({"inputs": inputs.tolist()}).encode(), commit=commit, experience=experience)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(sorted(STRATEGIES)),
    asked=st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2), st.integers(1, 3)), min_size=1, max_size=8),
)
def test_a_mixed_batch_gives_each_request_the_answer_of_the_one_it_names(
    chains: dict[str, Adapted], served: dict[str, ServedSet], kind: str, asked: list[tuple[int, int, int]]
) -> None:
    """By commit, by experience and by neither, in one batch; -1 names none, which is the champion and no experience."""
    draw = np.random.default_rng(len(asked))
    questions, expected = [], []
    for commit, experience, rows in asked:
        inputs = draw.random((rows, 1, 8, 8)).round(3)
        id_ = chains[kind].commits[commit]
        model = load_model(chains[kind].pipeline, id_)
        network = task_network(model)
        own = None if network is None or experience < 0 else network.position(experience)
        chosen = None if experience < 0 else experience
        questions.append(question(inputs, None if commit < 0 else id_, chosen))
        with torch.no_grad():
            tensor = torch.from_numpy(inputs).float()
            if experience >= 0 and own is None:
                expected.append((id_, None))
            elif own is None:
                expected.append((id_, model(tensor).softmax(1)))
            else:
                assert network is not None
                expected.append((id_, network.answer(tensor, own).softmax(1)))
    for reply, (id_, probabilities) in zip(served[kind].answer(questions), expected, strict=True):
        assert reply.commit == id_
        if probabilities is None:
            assert reply.status == 400 and reply.document["error"].startswith("experience=")
        else:
            assert reply.status == 200 and reply.document["commit"] == id_
            assert np.allclose(reply.document["probabilities"], probabilities, atol=1e-5)


def test_what_is_not_served_is_refused_with_what_is(chains: dict[str, Adapted], served: dict[str, ServedSet]) -> None:
    models, (first, second, third) = served["stream"], chains["stream"].commits
    row = np.zeros((1, 1, 8, 8))

    def ask(commit: str) -> Reply:
        return models.answer([question(row, commit)])[0]

    assert [ask(word).commit for word in ("champion", "latest", first[:12], third[:7])] == [third, second, first, third]
    for unknown in ("f" * 64, third[:6], "proposed", ""):
        found = ask(unknown)
        assert found.status == 404 and found.commit == ""
        assert found.document["error"].endswith(
            f"served are champion ({third[:12]}), latest ({second[:12]}), {first[:12]} ({first[:12]})"
        )
    waiting = ServedSet(lambda commit: pytest.fail("none is loaded"), "champion", ("proposed",))
    waiting.swaps["champion"] = models.swaps["champion"]
    assert waiting.answer([question(row, "proposed")])[0].status == 503
