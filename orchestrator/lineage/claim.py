"""Claims: a run, a search or a care command marks a pipeline as in use, which keeps others from writing to it.

A claim is a small object below `<pipeline>/claims/`, taken with a conditional write and renewed by a heartbeat. Clocks
of two machines are never compared: a claim has expired when another process watched it for its whole lease and it did
not change. On the machine where the claim was taken, it has expired as soon as its process has ended.

Two processes that exclude each other first write their own claim and then look for other claims, so that at least one
of them sees the other. Of several that see each other before they have begun to work, the one with the lowest token
waits for the others to withdraw, and gets the claim. A process that has lost its claim cannot write any more: see
`orchestrator.lineage.fencing`.
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
from typing import TYPE_CHECKING, Any

from orchestrator.errors import Claimed, StorageError
from orchestrator.lineage import layout
from orchestrator.lineage.claim_holder import LEASE_S, LONGEST_LEASE, Holder, Purpose
from orchestrator.lineage.fencing import CARE, SEARCH, Fence, fence_out

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage

OnWarning = Callable[[str], object]

LEASE_VARIABLE = "EVERLEARN_CLAIM_LEASE"
# How many times a claim is renewed within a lease.
BEATS = 6
_ATTEMPTS = 50
# The lease of a claim whose run has failed, while its workers may still be writing.
_EXPIRED = 0.001

# The tokens that this process holds. A stored claim of this process with another token was left behind by a failure.
_held: set[str] = set()


@contextmanager
def claimed(
    lineage: Lineage, purpose: Purpose, *, target: str | None = None, on_warning: OnWarning | None = None
) -> Iterator[Claim]:
    """Hold a claim on a pipeline for the time of the block.

    A pipeline has one run at a time, one decision on the champion, and any number of searches beside them; `gc`,
    `forget` and `copy` exclude all.

    Args:
        target: the id of the commit or search that the work leads to, shown to others.
        on_warning: called with a sentence when this waits for a claim of another machine, and when this claim was lost.

    Raises:
        Claimed: another process is working on the pipeline; the message names it.
        StorageError: the storage cannot be used.
    """
    claim = Claim(lineage, purpose, target, on_warning or (lambda text: None))
    claim.take()
    try:
        yield claim
    except BaseException:
        claim.release(failed=True)
        raise
    claim.release()


def lease_seconds() -> float:
    """Seconds of the lease of new claims: `EVERLEARN_CLAIM_LEASE`, by default 60. StorageError: not a valid number."""
    text = os.environ.get(LEASE_VARIABLE) or str(LEASE_S)
    with suppress(ValueError):
        if 0 < float(text) <= LONGEST_LEASE:
            return float(text)
    raise StorageError(f"{LEASE_VARIABLE}={text[:50]}: expected are seconds, above 0, at most {LONGEST_LEASE:g}")


class Claim:
    """A claim that this process takes, renews and releases. Use it by `claimed`.

    Attributes:
        key: of the claim in the store.
        lost: whether another process took the claim over, after a lease without renewal.
    """

    def __init__(self, lineage: Lineage, purpose: Purpose, target: str | None, on_warning: OnWarning) -> None:
        token = uuid.uuid4().hex
        self.lost = False
        self._lineage, self._store, self._warn = lineage, lineage.store, on_warning
        slots = {"run": "run", "promotion": "promotion", "search": f"{SEARCH}{token[:12]}"}
        self._slot = slots.get(purpose, CARE)
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
            entering=True,
        )
        self._version = ""
        self._turn = threading.Lock()
        self._took_over: set[str] = set()  # slots of the claims
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="everlearn-claim", daemon=True)

    @property
    def fence(self) -> Fence:
        """Permission to write, as long as this claim is held."""
        return Fence(self.key, str(self._holder.token))

    def take(self) -> None:
        """Take the claim and start its heartbeat. Raises as `claimed`."""
        self._write()
        _held.add(str(self._holder.token))
        self._thread.start()
        try:
            self._look_around()
            if self._took_over or self._slot == CARE:
                fence_out(self._store, self._lineage.pipeline, self._took_over)
            if not self._renewed(entering=False):
                raise Claimed(f"{self._where(self.key)}: another process took this claim over. Run again later")
        except BaseException:
            self.release()
            raise

    def release(self, *, failed: bool = False) -> None:
        """Release the claim. If the storage cannot be reached, the claim expires after its lease.

        Args:
            failed: the run's workers may still be writing: the next holder of the claim fences them out.
        """
        self._end.set()
        # The run does not wait longer for a heartbeat whose server does not respond.
        self._thread.join(2 * self._store_pause)
        left = Holder()
        if failed and self._slot == "run":
            expired = {"token": uuid.uuid4().hex, "machine": None, "started": None, "lease": _EXPIRED}
            left = self._holder.model_copy(update=expired)
        with suppress(StorageError):
            if self._slot.startswith(SEARCH):
                self._store.delete(self.key)
            elif not self.lost:
                self._store.compare_and_swap(self.key, left.to_json(), self._version)
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
                self._took_over = {self._slot} if holder.token is not None else set()
            if self._swap(found[1] if found else None):
                return
        raise StorageError(f"{self._where(self.key)}: other processes keep taking this claim. Run again later")

    def _swap(self, version: str | None) -> bool:
        """Write the claim as it is now, over `version`."""
        self._store.compare_and_swap(self.key, self._holder.to_json(), version)
        # Do not rely on the result: the client repeats requests, and a repeated one fails when the first has succeeded.
        found = self._store.read_versioned(self.key)
        if found is None or Holder.parse(found[0], self._where(self.key)).token != self._holder.token:
            return False
        self._version = found[1]
        return True

    def _look_around(self) -> None:
        """Raise Claimed when a claim that excludes this one is alive; revoke those that have expired."""
        for key in list(self._store.list(layout.claims_prefix(self._lineage.pipeline))):
            if key != self.key and CARE in (self._slot, _slot(key)):
                while not self._passed(key):
                    time.sleep(0.02)

    def _passed(self, key: str) -> bool:
        """Whether a claim is out of the way; False: look again. Raises Claimed when it stays."""
        found = self._store.read_versioned(key)
        holder = Holder.parse(found[0], self._where(key)) if found else Holder()
        if found is None or holder.token is None:
            return True
        if holder.entering and holder.token > str(self._holder.token) and _runs(holder) is not False:
            # That process withdraws when it sees this claim; otherwise its claim changes to `entering: false` soon.
            return self._over(key, holder, found[1], quietly=True) and self._revoked(key, found[1])
        if not self._over(key, holder, found[1]):
            raise self._refused(holder)
        return self._revoked(key, found[1])

    def _revoked(self, key: str, version: str) -> bool:
        """Revoke an expired claim, whose process may be stopped and continue later; False: the claim has changed."""
        found = self._store.read_versioned(key)
        if found is None or Holder.parse(found[0], self._where(key)).token is None:
            return True
        if found[1] != version or not self._store.compare_and_swap(key, Holder().to_json(), version):
            return False
        self._took_over.add(_slot(key))
        if _slot(key).startswith(SEARCH):
            self._store.delete(key)
        return True

    def _over(self, key: str, holder: Holder, version: str, *, quietly: bool = False) -> bool:
        """Whether a claim is free or has expired; may watch it for its lease.

        Args:
            quietly: no warning and no look at the process, for a claim that is expected to change soon.
        """
        if holder.token is None or holder.token == self._holder.token:
            return True
        alive = None if quietly else _runs(holder)
        if alive is not None:
            return not alive
        if not quietly and holder.lease > _EXPIRED:
            self._warn(
                f"{holder} has not released its claim on pipeline {self._lineage.pipeline}: "
                f"waiting up to {holder.lease:g} s for its next heartbeat"
            )
        until = time.monotonic() + holder.lease
        while time.monotonic() < until:
            time.sleep(min(0.02 if quietly else 1.0, holder.lease / (2 * BEATS)))
            found = self._store.read_versioned(key)
            if found is None:
                return True
            if found[1] != version:
                return Holder.parse(found[0], self._where(key)).token is None
        return True

    def _renew(self) -> None:
        while not self._end.wait(self._holder.lease / BEATS):
            try:
                if not self._renewed():
                    self._warn(self._loss())
                    return
            except StorageError:
                # The server is unavailable: a later heartbeat within the lease may reach it.
                continue

    def _renewed(self, **changes: Any) -> bool:
        with self._turn:
            self._holder = self._holder.model_copy(update={"beat": self._holder.beat + 1, **changes})
            self.lost = self.lost or not self._swap(self._version)
            return not self.lost

    @property
    def _store_pause(self) -> float:
        return max(1.0, self._holder.lease / BEATS)

    def _loss(self) -> str:
        return (
            f"the claim on pipeline {self._lineage.pipeline} was lost: it could not be renewed for "
            f"{self._holder.lease:g} s and another process took it over. This process stops and writes no more"
        )

    def _refused(self, holder: Holder) -> Claimed:
        reuse = ": what it has committed is reused" if self._slot != CARE and holder.purpose == "run" else ""
        return Claimed(
            f"pipeline {self._lineage.pipeline} in {self._store.uri}: {holder} is working on it.\n"
            f"Let it finish, or stop it, then run this again{reuse}"
        )

    def _where(self, key: str) -> str:
        return f"{self._store.uri}/{key}"


def _slot(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _runs(holder: Holder) -> bool | None:
    """Whether the holder's process runs; None: it is on another machine or in another container."""
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
