"""Metrics of serving as Prometheus reads them: its text format, version 0.0.4."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the times of requests, in seconds."""


class ServingMetrics:
    """Counts what one process answers. Safe to use from several threads."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        """
        Args:
            labels: of every metric, such as the pipeline.
        """
        self._labels = dict(labels)
        self._lock = threading.Lock()
        self._requests: Counter[int] = Counter()
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._rows = 0
        self._events: Counter[str] = Counter()
        self._commit: str | None = None
        self._since = 0.0

    def request(self, status: int, seconds: float, rows: int) -> None:
        """A prediction was asked for and answered.

        Args:
            status: of HTTP.
            seconds: from the request to the end of the answer's making.
            rows: that were answered.
        """
        with self._lock:
            self._requests[status] += 1
            self._buckets[bisect_left(BUCKETS, seconds)] += 1
            self._seconds += seconds
            self._rows += rows

    def event(self, kind: str, commit: str | None, *, answers: bool = True) -> None:
        """Count an event of the model: see `orchestrator.serving.ref_follower.ServingEvent`.

        Args:
            answers: whether the model is the one that answers requests that name no commit.
        """
        with self._lock:
            self._events[kind] += 1
            if kind == "swapped" and answers:
                self._commit, self._since = commit, time.time()

    def text(self) -> str:
        """All metrics, with HELP and TYPE."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from self._head("requests_total", "counter", "Requests for predictions by status of HTTP")
        for status, count in sorted(self._requests.items()):
            yield self._line("requests_total", count, code=str(status))
        yield from self._head("rows_total", "counter", "Rows that were answered")
        yield self._line("rows_total", self._rows)
        yield from self._head("request_seconds", "histogram", "Time of requests for predictions, in seconds")
        so_far = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            so_far += count
            yield self._line("request_seconds_bucket", so_far, le=bound)
        yield self._line("request_seconds_sum", self._seconds)
        yield self._line("request_seconds_count", so_far)
        for kind, meaning in (
            ("swapped", "Commits that began to answer"),
            ("refused", "Commits that could not be served; the previous commit kept answering"),
            ("unreachable", "Times that the store stopped answering"),
        ):
            yield from self._head(f"{kind}_total", "counter", meaning)
            yield self._line(f"{kind}_total", self._events[kind])
        yield from self._head("ready", "gauge", "1 if a model answers")
        yield self._line("ready", int(self._commit is not None))
        if self._commit is not None:
            yield from self._head("commit_info", "gauge", "The commit that answers, as a label")
            yield self._line("commit_info", 1, commit=self._commit)
            yield from self._head("commit_since_seconds", "gauge", "Since when it answers, in seconds since 1970")
            yield self._line("commit_since_seconds", round(self._since, 3))

    def _head(self, name: str, kind: str, meaning: str) -> Iterator[str]:
        yield f"# HELP everlearn_serve_{name} {meaning}"
        yield f"# TYPE everlearn_serve_{name} {kind}"

    def _line(self, name: str, value: float, **labels: str) -> str:
        found = ",".join(f'{key}="{_escaped(text)}"' for key, text in (self._labels | labels).items())
        return f"everlearn_serve_{name}{{{found}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
