"""A run followed in a real MLflow server that is killed and restarted, and what the server must hold in the end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.cluster.log_levels import quiet
from orchestrator.lineage.commit import Commit
from orchestrator.tracking import run_tracker
from orchestrator.tracking.mlflow_client import connect
from orchestrator.tracking.publish_lineage import publish
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.orchestrator.tracking.conftest import Server, free_port
from tests.orchestrator.tracking.stores import points


class Followed:
    """A driver's tracking of one pipeline, without the driver.

    Attributes:
        faults: how often each kind of fault was injected.
    """

    def __init__(self, folder: Path, text: str, key: str, length: int) -> None:
        quiet()
        self.faults: Counter[str] = Counter()
        self._folder, self._key, self._length = folder, key, length
        self._server = Server(folder / "mlflow.db", free_port())
        self._text = text
        self._chain: Sequence[Commit] = []

    def __enter__(self) -> Self:
        # The end of a driver ends its thread, too. Here the process lives on, and must not write beside the next one.
        run_tracker.GRACE = run_tracker.GRACE_AFTER_FAILURE = 300.0
        connect(f"sqlite:///{self._server.database}").search_experiments()
        self._server.start()
        self._tracker = self._follow()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracker.close(0.0)
        self._server.kill()

    def take(self, chain: Sequence[Commit]) -> None:
        """These commits are there now."""
        self._chain = list(chain)
        self._tracker.commit(self._chain)

    def disturb(self, chosen: random.Random) -> None:
        """The server is killed, or comes back, or another tracker takes over as after Ctrl-C."""
        if self._server.process is None:
            self._server.start()
        elif chosen.random() < 0.5:
            self._server.kill()
            self.faults["MLflow: server killed and restarted"] += 1
        else:
            self._tracker.__exit__(KeyboardInterrupt, None, None)
            self._tracker = self._follow()
            self.faults["MLflow: another tracker took over"] += 1

    def violations(self) -> list[str]:
        """Whether the server, once it is back and all is published, holds each point of the chain once."""
        if self._server.process is None:
            self._server.start()
        self._tracker.close()
        fresh = f"sqlite:///{self._folder}/fresh.db"
        for uri in (self._server.uri, fresh):
            publish(self._pipeline(uri), self._chain, stream_length=self._length, key=self._key)
        found, expected = Counter(points(self._server.database)), Counter(points(self._folder / "fresh.db"))
        if found == expected:
            return []
        return [f"MLflow has more than the commits: {list(found - expected)[:5]}, less: {list(expected - found)[:5]}"]

    def _follow(self) -> run_tracker.Tracker:
        following = run_tracker.Tracker(self._pipeline(self._server.uri), key=self._key, stream_length=self._length)
        following.__enter__()
        following.commit(self._chain)
        return following

    def _pipeline(self, uri: str) -> Pipeline:
        return load_text(f"{self._text}tracking: {{uri: '{uri}'}}\n", "soak.yaml")
