"""A process that trains trials for `orchestrator.tuning.process_pool`: one after another, as they come in.

It reads pickled requests from its standard input and answers on what was its standard output, in pairs of a kind and a
value: ("commit", document), then ("done", None) or ("failed", (reason, final)). It ends when its input ends, and
so also when the command that started it is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.events import Event
    from orchestrator.tuning.search_claim import Fences
    from orchestrator.tuning.trial_resources import Needs
    from pipelines.config.schema import Pipeline
    from pipelines.data.streams import Stream


@dataclass(frozen=True)
class Request:
    """One trial.

    Attributes:
        documents: its pipelines as YAML, one for each seed.
        streams: keys of their streams.
        sent: the streams that this process has not been sent yet, by key.
        needs: what the trial takes.
        retries: how often it is tried again.
        fences: of the search's claims.
    """

    documents: Sequence[str]
    streams: Sequence[int]
    sent: dict[int, Stream]
    needs: Needs
    retries: int
    fences: Fences = field(default_factory=dict)


def main() -> None:
    # Ctrl-C reaches all processes of a terminal. The command ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # What a user's code prints must not come between the answers.
    os.dup2(2, 1)
    sys.path.extend(pickle.load(requests))

    from orchestrator.cluster.log_levels import quiet

    quiet()
    known: dict[int, Stream] = {}
    answer = _Answers(answers)
    while True:
        try:
            request: Request = pickle.load(requests)
        except EOFError:
            return
        known.update(request.sent)
        _run(request, [known[key] for key in request.streams], answer)


class _Answers:
    """Commits come from the thread that writes them, the rest from this one."""

    def __init__(self, to: IO[bytes]) -> None:
        self._to, self._turn = to, threading.Lock()

    def __call__(self, kind: str, value: Any = None) -> None:
        with self._turn:
            pickle.dump((kind, value), self._to)
            self._to.flush()


def _run(request: Request, streams: Sequence[Stream], answer: _Answers) -> None:
    import torch

    from orchestrator.tuning.trial_failure import final, reason
    from pipelines.config.load import load_text

    torch.set_num_threads(request.needs.threads)
    pipelines = [load_text(document, "trial") for document in request.documents]
    for attempt in range(request.retries + 1):
        try:
            for number, (pipeline, stream) in enumerate(zip(pipelines, streams, strict=True)):
                _train(pipeline, stream, request, partial(_send, answer, number))
        except BrokenPipeError:
            raise  # the process that started this one has ended
        except Exception as error:
            if attempt == request.retries:
                answer("failed", (reason(error), final(error)))
        else:
            answer("done")
            return


def _train(pipeline: Pipeline, stream: Stream, request: Request, on_event: Any) -> None:
    from orchestrator.tuning.train_trial import Job, train

    job = Job.of(pipeline, stream, request.fences)
    train(job, len(job.ids), request.needs, on_event)


def _send(answer: _Answers, number: int, event: Event) -> None:
    from orchestrator.events import CommitWritten

    if isinstance(event, CommitWritten):
        answer("commit", (number, event.commit))


if __name__ == "__main__":
    main()
