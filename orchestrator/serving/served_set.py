"""The models that answer: that of the ref that is followed, and those of further refs that a request may name.

A request names a ref, or a commit by its id, and never a place in a list: nothing that was kept for one commit, by a
server or by a client, can answer for another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.prediction.predicting import is_language_model
from orchestrator.serving.batch_answers import Reply, answer_batch, input_schema, problem
from orchestrator.serving.model_swap import ModelSwap
from orchestrator.serving.ref_follower import RefFollower, ServingEvent
from orchestrator.serving.text_answers import answer_texts, text_schema

if TYPE_CHECKING:
    from orchestrator.prediction.predicting import Predicting
    from orchestrator.serving.model_swap import ServedModel
    from orchestrator.serving.request_body import Question

SHORTEST = 7
"""Characters of a commit's id that a request must give at least."""


class ServedSet:
    """A `ModelSwap` for each ref.

    Attributes:
        ref: answers requests that name no commit.
        swaps: by ref, `ref` first.
    """

    def __init__(self, load: Callable[[str], Predicting], ref: str, also: Sequence[str] = ()) -> None:
        """
        Args:
            load: the model of a commit, by the commit's id; the same one where two refs name the same commit.
            also: further refs, or first characters of commits.
        """
        self.ref = ref
        self.swaps = {word: ModelSwap(load) for word in dict.fromkeys((ref, *also))}

    @property
    def current(self) -> ServedModel | None:
        """The model that answers requests that name none; None: none was loaded yet."""
        return self.swaps[self.ref].current

    def commits(self) -> dict[str, str]:
        """The commit that answers, by ref."""
        return {word: swap.current.commit for word, swap in self.swaps.items() if swap.current is not None}

    def answer(self, questions: Sequence[Question]) -> list[Reply]:
        """A reply for each request, in their order: those that name the same model go through it together."""
        groups: dict[str, tuple[ServedModel, list[int]]] = {}
        replies: dict[int, Reply] = {}
        for place, question in enumerate(questions):
            found = self._named(question.commit)
            if isinstance(found, Reply):
                replies[place] = found
            else:
                groups.setdefault(found.commit, (found, []))[1].append(place)
        for served, places in groups.values():
            answer = answer_texts if is_language_model(served.model) else answer_batch
            own = answer(served, [questions[place] for place in places])
            replies.update(zip(places, own, strict=True))
        return [replies[place] for place in range(len(questions))]

    def _named(self, name: str | None) -> ServedModel | Reply:
        if name is None:
            found = self.current
            assert found is not None  # asked before
            return found
        if name in self.swaps:
            named = self.swaps[name].current
            return named or Reply(503, problem(f"not ready: there is no model of {name[:100]} yet"), "")
        there = {swap.current.commit: swap.current for swap in self.swaps.values() if swap.current is not None}
        matching = [commit for commit in there if len(name) >= SHORTEST and commit.startswith(name)]
        if len(matching) == 1:
            return there[matching[0]]
        listed = ", ".join(f"{word} ({commit[:12]})" for word, commit in self.commits().items())
        return Reply(404, problem(f"commit {name[:100]!r} is not served: served are {listed}"), "")


def model_schema(served: ServedModel) -> dict[str, Any]:
    """What a model takes, for `GET /`."""
    return text_schema(served) if is_language_model(served.model) else input_schema(served)


def followers(
    models: ServedSet,
    target: Callable[[str], Callable[[], str | None]],
    on_event: Callable[[str, ServingEvent], object],
) -> list[RefFollower]:
    """What moves each model to the commit of its ref, that of requests without a name first.

    Args:
        target: for a ref, gives the commit that is to be served.
        on_event: gets the ref and what happened to it; where there are several refs, the text names it.
    """

    def follower(word: str, swap: ModelSwap) -> RefFollower:
        def note(event: ServingEvent) -> None:
            on_event(word, event if len(models.swaps) == 1 else replace(event, text=f"{word}: {event.text}"))

        return RefFollower(target(word), swap, note, name=word)

    return [follower(word, swap) for word, swap in models.swaps.items()]


def turn_all(moves: Sequence[RefFollower]) -> None:
    """One turn of each."""
    for follower in moves:
        follower.turn()
