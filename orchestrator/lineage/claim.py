"""Claims: a run, a search or a care command says that it is at work on a pipeline, and others keep away.

A claim is a small object below `<pipeline>/claims/`, taken with a conditional write and renewed by a heartbeat. No
clock is compared with another: a claim has expired when it was watched for its whole lease and did not change. On the
machine where it was taken, the end of its process is enough.

Two that exclude each other write their own claim first and look for the other's then, so that at least one of them sees
the other. Claims keep work from being done twice or removed by `gc`; that no commit is overwritten and no ref lost does
not depend on them, but on the conditional writes of the lineage.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.errors import Claimed, StorageError
from orchestrator.lineage import layout

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage

Purpose = Literal["run", "search", "gc", "forget", "copy"]
OnWarning = Callable[[str], object]

LEASE_S = 60.0
LEASE_VARIABLE = "EVERLEARN_CLAIM_LEASE"
# A claim is renewed so many times in a lease.
BEATS = 6
_LONGEST_LEASE = 3600.0
_ATTEMPTS = 50
_CARE = "care"

_WORK = {
    "run": "another run",
    "search": "a search (everlearn tune or compare)",
    "gc": "everlearn gc",
    "forget": "everlearn forget",
    "copy": "everlearn copy",
}
# The claims that this process holds: one of its own that is not among them was left by a failure.
_held: set[str] = set()


class Holder(BaseModel):
    """Who holds a claim.

    Attributes:
        token: names this one holding; None: the claim is free.
        purpose: what is done.
        target: what it aims at: the id of the last commit, or of a search.
        host, pid: of the process.
        machine, started: tell whether that process still runs, on the machine where it ran; None: cannot be told.
        since: ISO 8601, UTC, by its own clock: for people.
        lease: seconds without a change after which the claim has expired.
        beat: counts the renewals.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[1] = 1
    token: Annotated[str, Field(max_length=64)] | None = None
    purpose: Purpose = "run"
    target: Annotated[str, Field(max_length=100)] | None = None
    host: Annotated[str, Field(max_length=255)] = ""
    pid: Annotated[int, Field(ge=0)] = 0
    machine: Annotated[str, Field(max_length=64)] | None = None
    started: Annotated[str, Field(max_length=32)] | None = None
    since: Annotated[str, Field(max_length=40)] = ""
    lease: Annotated[float, Field(gt=0, le=_LONGEST_LEASE)] = LEASE_S
    beat: Annotated[int, Field(ge=0)] = 0

    def __str__(self) -> str:
        return f"{_WORK[self.purpose]} (host {self.host}, process {self.pid}, since {self.since})"

    def to_json(self) -> bytes:
        return self.model_dump_json().encode("ascii", "backslashreplace")

    @classmethod
    def parse(cls, data: bytes, source: str) -> Holder:
        """Raises StorageError when `data` is not what `to_json` wrote."""
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise StorageError(
                f"{source}: this claim is damaged.\nDelete it, once nothing is at work on the pipeline any more"
            ) from None


@contextmanager
def claimed(
    lineage: Lineage, purpose: Purpose, *, target: str | None = None, on_warning: OnWarning | None = None
) -> Iterator[Claim]:
    """Hold a claim on a pipeline for the time of the block.

    One run at a time; any number of searches beside it; `gc`, `forget` and `copy` alone.

    Args:
        target: what the work aims at, for others to read.
        on_warning: gets a sentence when a claim of another machine is watched, and when this one was lost.

    Raises:
        Claimed: another is at work on the pipeline; the message names it.
        StorageError: the storage cannot be used.
    """
    claim = Claim(lineage, purpose, target, on_warning or (lambda text: None))
    claim.take()
    try:
        yield claim
    finally:
        claim.release()


def lease_seconds() -> float:
    """The lease of new claims: `EVERLEARN_CLAIM_LEASE`, else a minute. Raises StorageError when that is no number."""
    text = os.environ.get(LEASE_VARIABLE) or str(LEASE_S)
    with suppress(ValueError):
        if 0 < float(text) <= _LONGEST_LEASE:
            return float(text)
    raise StorageError(f"{LEASE_VARIABLE}={text[:50]}: expected are seconds, above 0, at most {_LONGEST_LEASE:g}")


class Claim:
    """One holding of a claim. `claimed` is the way to use it.

    Attributes:
        key: of the claim in the store.
        lost: whether another took it over, after a lease without renewal.
    """

    def __init__(self, lineage: Lineage, purpose: Purpose, target: str | None, on_warning: OnWarning) -> None:
        token = uuid.uuid4().hex
        self.lost = False
        self._lineage, self._store, self._warn = lineage, lineage.store, on_warning
        self._slot = {"run": "run", "search": f"search-{token[:12]}"}.get(purpose, _CARE)
        self.key = layout.claim_key(lineage.pipeline, self._slot)
        self._holder = Holder(
            token=token,
            purpose=purpose,
            target=target,
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            machine=_machine(),
            started=_started(os.getpid()),
            since=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            lease=lease_seconds(),
        )
        self._version = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="everlearn-claim", daemon=True)

    def take(self) -> None:
        """Take the claim and start its heartbeat. Raises as `claimed`."""
        self._write()
        _held.add(str(self._holder.token))
        self._thread.start()
        try:
            self._look_around()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others have it. A failure to say so is none: the claim then expires."""
        self._end.set()
        # A heartbeat that waits for a dead server does not hold up the end of a run.
        self._thread.join(2 * self._store_pause)
        with suppress(StorageError):
            if self._slot.startswith("search-"):
                self._store.delete(self.key)
            elif not self.lost:
                self._store.compare_and_swap(self.key, Holder().to_json(), self._version)
        _held.discard(str(self._holder.token))

    def _write(self) -> None:
        for _ in range(_ATTEMPTS):
            found = self._store.read_versioned(self.key)
            if found is not None:
                holder = Holder.parse(found[0], self._where(self.key))
                if not self._over(self.key, holder, found[1]):
                    raise self._refused(holder)
                found = self._store.read_versioned(self.key) if holder.token else found
                if found is not None and Holder.parse(found[0], self._where(self.key)).token != holder.token:
                    continue
            if self._swap(found[1] if found else None):
                return
        raise StorageError(f"{self._where(self.key)}: others keep taking this claim. Run again later")

    def _swap(self, version: str | None) -> bool:
        """Write the claim as it is now, over `version`."""
        self._store.compare_and_swap(self.key, self._holder.to_json(), version)
        # Whatever the answer was: a repeated request may have been refused because its first sending won.
        found = self._store.read_versioned(self.key)
        if found is None or Holder.parse(found[0], self._where(self.key)).token != self._holder.token:
            return False
        self._version = found[1]
        return True

    def _look_around(self) -> None:
        """Refuse to go on when a claim that excludes this one is alive."""
        for key in list(self._store.list(layout.claims_prefix(self._lineage.pipeline))):
            if key == self.key or _CARE not in (self._slot, _slot(key)):
                continue
            found = self._store.read_versioned(key)
            if found is None:
                continue
            holder = Holder.parse(found[0], self._where(key))
            if not self._over(key, holder, found[1]):
                raise self._refused(holder)
            if _slot(key).startswith("search-"):
                self._store.delete(key)

    def _over(self, key: str, holder: Holder, version: str) -> bool:
        """Whether a claim is free or has expired; may watch it for its lease."""
        if holder.token is None or holder.token == self._holder.token:
            return True
        alive = _runs(holder)
        if alive is not None:
            return not alive
        self._warn(
            f"{holder} has not released its claim on pipeline {self._lineage.pipeline}: "
            f"waiting up to {holder.lease:g} s for a sign of life"
        )
        until = time.monotonic() + holder.lease
        while time.monotonic() < until:
            time.sleep(min(1.0, holder.lease / (2 * BEATS)))
            found = self._store.read_versioned(key)
            if found is None:
                return True
            if found[1] != version:
                return Holder.parse(found[0], self._where(key)).token is None
        return True

    def _renew(self) -> None:
        while not self._end.wait(self._holder.lease / BEATS):
            try:
                self._holder = self._holder.model_copy(update={"beat": self._holder.beat + 1})
                if not self._swap(self._version):
                    self.lost = True
                    self._warn(self._loss())
                    return
            except StorageError:
                # The server is away: the next beat may reach it, and a lease is several beats long.
                continue

    @property
    def _store_pause(self) -> float:
        return max(1.0, self._holder.lease / BEATS)

    def _loss(self) -> str:
        return (
            f"the claim on pipeline {self._lineage.pipeline} was lost: it could not be renewed for "
            f"{self._holder.lease:g} s and another took over. Nothing is overwritten; one of the two will stop"
        )

    def _refused(self, holder: Holder) -> Claimed:
        reuse = ": what it has committed is reused" if self._slot != _CARE and holder.purpose == "run" else ""
        return Claimed(
            f"pipeline {self._lineage.pipeline} in {self._store.uri}: {holder} is at work on it.\n"
            f"Let it finish, or stop it, then run this again{reuse}"
        )

    def _where(self, key: str) -> str:
        return f"{self._store.uri}/{key}"


def _slot(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _runs(holder: Holder) -> bool | None:
    """Whether the holder's process runs; None: that cannot be seen from here."""
    if holder.machine is None or holder.machine != _machine() or holder.started is None:
        return None
    started = _started(holder.pid)
    if started is None and _exists(holder.pid):
        return None  # hidden from this user
    if started != holder.started:
        return False
    return holder.pid != os.getpid() or holder.token in _held


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _machine() -> str | None:
    """Names this boot of this machine, and the namespace of its process ids (containers have their own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:32]


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot, or that it has ended; None when it cannot be seen."""
    try:
        # The name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else fields[19]
