"""Follows a ref: reads at regular times which commit it names, and loads that commit.

An event is reported once, not at each turn: a commit that cannot be served, a store that does not answer, a ref that
does not exist yet. Loading is tried again after a pause that grows, because the store may have been the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestrator.lineage.decisions import CHAMPION, PROPOSED
from orchestrator.lineage.layout import is_ref
from orchestrator.redact import redact
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.serving.model_swap import ModelSwap

LONGEST_PAUSE_S = 300.0
LATER = (CHAMPION, PROPOSED, "latest")
"""Refs that may be followed before they exist."""


@dataclass(frozen=True)
class ServingEvent:
    """Something that an operator should know.

    Attributes:
        kind: `swapped`: a commit answers from now on; `refused`: a commit cannot be served, and the previous one keeps
            answering; `unreachable`: the store does not answer; `reachable`: it does again; `waiting`: the ref does not
            exist yet.
        text: a line for a person.
        commit: the commit in question; None: it is about none.
        previous: with `swapped`, the commit that answered before.
        seconds: with `swapped`, how long loading and the first call took.
    """

    kind: Literal["swapped", "refused", "unreachable", "reachable", "waiting"]
    text: str
    commit: str | None = None
    previous: str | None = None
    seconds: float | None = None


def ref_reader(lineage: Lineage, word: str) -> Callable[[], str | None]:
    """Gives the commit that `word` names now: a ref, or the first characters of an id; None: there is none yet."""

    fixed: list[str] = []

    def read() -> str | None:
        if fixed:
            return fixed[0]
        ref = lineage.ref(word)
        if ref is not None:
            return ref.commit
        found = lineage.find(word)
        if len(found) == 1:
            fixed[:] = found
        return fixed[0] if fixed else None

    return read


def check_words(lineage: Lineage, words: Iterable[str]) -> None:
    """Refuse what is neither a ref nor the beginning of a commit's id: waiting would bring no commit of it.

    The refs that promotion moves may come later, and where there is no ref at all yet, any may.

    Raises:
        PipelineError: the first such word, with the refs that there are.
        StorageError: the store cannot be read.
    """
    for word in words:
        if not is_ref(word):
            raise PipelineError(f"{word[:100]!r} is not a ref's name: use letters, digits, dots, dashes, underscores")
        found = [word] if word in LATER or lineage.ref(word) is not None else lineage.find(word)
        if len(found) == 1:
            continue
        refs = sorted(lineage.refs())
        if found:
            raise PipelineError(f"{word!r} matches {len(found)} commits of {lineage.pipeline}: give more characters")
        if refs:
            raise PipelineError(
                f"no ref or commit {word!r} of pipeline {lineage.pipeline} in {lineage.store.uri}: there are the refs "
                f"{', '.join(refs)}; `everlearn log` shows commits"
            )


class RefFollower:
    """Moves a `ModelSwap` to the commit that is asked for.

    Attributes:
        failure: what the last turn failed with; None: it did not.
    """

    def __init__(
        self,
        target: Callable[[], str | None],
        swap: ModelSwap,
        on_event: Callable[[ServingEvent], object],
        *,
        name: str,
        first_pause: float = 5.0,
    ) -> None:
        """
        Args:
            target: the commit that is to be served; None: there is none yet. It may raise.
            name: of the ref, for messages.
            first_pause: seconds until a commit that could not be loaded is tried again, doubled with each failure.
        """
        self._target, self._swap, self._tell, self._name = target, swap, on_event, name
        self._first_pause = first_pause
        self.failure: Exception | None = None
        self._last_told: ServingEvent | None = None
        self._failed: str | None = None
        self._failures, self._again = 0, 0.0

    def turn(self) -> None:
        """Ask once, and swap if another commit is asked for. Never raises: `failure` has what went wrong."""
        self.failure = None
        try:
            commit = self._target()
        except Exception as error:
            self.failure = error
            self._once(ServingEvent("unreachable", f"cannot read ref {self._name}: {_line(error)}"))
            return
        if self._last_told is not None and self._last_told.kind == "unreachable":
            self._once(ServingEvent("reachable", f"ref {self._name} can be read again"))
        if commit is None:
            self._once(ServingEvent("waiting", f"there is no commit {self._name} yet: not ready until there is"))
            return
        current = self._swap.current
        if current is not None and current.commit == commit:
            self._failed = None
            return
        if commit == self._failed and time.monotonic() < self._again:
            return
        self._move(commit, None if current is None else current.commit)

    def _move(self, commit: str, previous: str | None) -> None:
        began = time.monotonic()
        try:
            self._swap.move_to(commit)
        except Exception as error:
            self.failure = error
            known, self._failed = self._failed == commit, commit
            self._failures = self._failures + 1 if known else 1
            pause = self._first_pause * 2.0 ** min(self._failures - 1, 20)
            self._again = time.monotonic() + min(pause, LONGEST_PAUSE_S)
            if not known:
                instead = f"commit {previous[:12]} keeps answering" if previous else "no commit answers"
                text = f"commit {commit[:12]} cannot be served: {_line(error)}; {instead}"
                self._once(ServingEvent("refused", text, commit, previous))
            return
        self._failed = None
        seconds = time.monotonic() - began
        text = f"commit {commit[:12]} answers" + (f", after {previous[:12]}" if previous else "")
        self._once(ServingEvent("swapped", text, commit, previous, round(seconds, 3)))

    def _once(self, event: ServingEvent) -> None:
        last, self._last_told = self._last_told, event
        if last is None or (last.kind, last.commit) != (event.kind, event.commit) or event.kind == "swapped":
            self._tell(event)


def _line(error: Exception) -> str:
    lines = redact(str(error)).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__
