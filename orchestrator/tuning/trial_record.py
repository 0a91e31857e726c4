"""What is known of each trial, and how a search keeps it, so that the same command resumes after a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from orchestrator.errors import StorageError
from orchestrator.lineage.canonical_json import canonical_json
from orchestrator.lineage.fencing import ATTEMPTS, is_note, replace
from orchestrator.lineage.layout import runs_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchestrator.lineage.lineage import Lineage

State = Literal["waiting", "running", "done", "stopped", "failed"]
STATES: tuple[State, ...] = get_args(State)


class TrialRecord(BaseModel):
    """One trial.

    Attributes:
        number: from 0, in the order in which trials are proposed.
        name: the pipeline's, where several are compared.
        settings: the searched values by path.
        seeds: the runs whose mean counts.
        state: waiting; running; done: to the end of the stream; stopped: early, by the scheduler or the time budget;
            failed.
        of: experiences of the stream.
        history: after each experience, the mean of each metric over the seeds.
        times: when that was, in Unix milliseconds.
        deviation: standard deviation of the last metrics over the seeds.
        values: for each seed, the last metrics.
        lineage: for each seed, the commits so far, oldest first.
        trained, reused: experiences, over all seeds.
        started, ended: Unix milliseconds; None before.
        error: why it failed, or was stopped by something else than the scheduler.
        final: a failure that another attempt would meet again.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    format: Literal[1] = 1
    number: int
    name: str = ""
    settings: dict[str, JsonValue] = {}
    seeds: list[int] = []
    state: State = "waiting"
    of: int = 0
    history: list[dict[str, float | None]] = []
    times: list[int] = []
    deviation: dict[str, float | None] = {}
    values: list[dict[str, float | None]] = []
    lineage: list[list[str]] = []
    trained: int = 0
    reused: int = 0
    started: int | None = None
    ended: int | None = None
    error: str | None = None
    final: bool = False

    @property
    def metrics(self) -> dict[str, float | None]:
        """The latest metrics; empty before the first experience."""
        return self.history[-1] if self.history else {}

    @property
    def seconds(self) -> float | None:
        """How long the trial took, waiting for others included."""
        return (self.ended - self.started) / 1000 if self.started is not None and self.ended is not None else None

    @property
    def over(self) -> bool:
        """Whether it has ended in a way that the next command leaves as it is."""
        # With a larger time budget a trial continues that the smaller one had stopped.
        stopped = self.state == "stopped" and self.error is None
        return self.state == "done" or stopped or (self.state == "failed" and self.final)

    def take(self, reported: Mapping[str, Any]) -> None:
        """Take in the state of the trial, as `TrialState` reports it."""
        index = len(reported["lineage"][0]) - 1
        self.history = [*self.history[:index], reported["metrics"]]
        self.times = [*self.times[:index], reported["time"]]
        for name in ("of", "deviation", "values", "lineage"):
            setattr(self, name, reported[name])

    def to_json(self) -> dict[str, Any]:
        """The trial as `--json` shows it."""
        return {
            "number": self.number,
            **({"pipeline": self.name} if self.name else {}),
            "settings": self.settings,
            "seeds": self.seeds,
            "state": self.state,
            "experiences": len(self.history),
            "metrics": self.metrics,
            "deviation": self.deviation,
            "lineage": self.lineage,
            "trained": self.trained,
            "reused": self.reused,
            "seconds": self.seconds,
            "error": self.error,
        }


class Records:
    """The trials of one search in the store, each under its number. Searches with one id share them."""

    def __init__(self, lineage: Lineage, search: str) -> None:
        """
        Args:
            lineage: of the pipeline, under the claim of the search; only read without a claim.
        """
        self._lineage, self._store = lineage, lineage.store
        self._prefix = f"{runs_prefix(lineage.pipeline)}tune-{search}/"

    def write(self, record: TrialRecord) -> None:
        """Keep a trial, over what was kept of it. Raises StorageError; ClaimLost: the claim was taken over."""
        key, data = f"{self._prefix}{record.number:06d}.json", canonical_json(record.model_dump(mode="json"))
        for _ in range(ATTEMPTS):
            found = self._store.read_versioned(key)
            version = None if found is None or is_note(found[0]) else found[1]
            if replace(self._store, self._lineage.fence, key, data, version):
                return
        raise StorageError(f"{self._store.uri}/{key}: other processes keep writing this record. Run again")

    def read(self) -> list[TrialRecord]:
        """All trials that were kept, by number.

        Raises:
            StorageError: one is damaged, or cannot be read.
        """
        return sorted(self._read(), key=lambda record: record.number)

    def _read(self) -> Iterator[TrialRecord]:
        for key in self._store.list(self._prefix):
            data = self._store.get(key)
            if is_note(data):
                continue
            try:
                yield TrialRecord.model_validate_json(data)
            except ValidationError:
                raise StorageError(
                    f"{self._store.uri}/{key}: this record of a trial is damaged, or of another version.\n"
                    "Delete it: the search then tries its settings again, and reuses what is trained"
                ) from None
