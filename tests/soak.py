"""`python -m tests.soak --minutes N --seed S`: two hundred small experiences under random faults.

A stream of permuted digits is learned by processes that are killed at random times and at chosen moments, that lose
ranks, that are stopped by SIGSTOP, whose clocks are set forward and back, whose claim is taken over while they write,
whose store fails, and, in every third round, over a real S3 server that misbehaves and crashes, followed in a real
MLflow server that is killed and restarted. After each kill the lineage is verified; in the end it must equal, to the
bit, that of a run on which nothing was done. Rounds follow each other, each in an empty store, until the time is over.
Exit status 1 when an invariant was violated.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.lineage import claim as claims
from orchestrator.lineage.claim import Claim, claimed
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.open_by_uri import open_store
from tests.faults.followed import Followed
from tests.faults.invariants import content, memory_violations, violations
from tests.faults.victim import Victims, prepared

EXPERIENCES = 200
EXPERIENCES_IN_S3 = 30
CAPACITY = 60
# Eleven days.
CLOCKS = (0.0, 1e6, -1e6)
LOST = "lost its claim"
# Seconds for a stream without faults.
PATIENCE = 900.0
WRITES = ["blob", "commit", "ref", "checkpoint", "sweep"]
MOMENTS = [
    "step",
    "consolidation",
    "evaluation",
    *(f"{w} {when}" for w in WRITES for when in ("before", "half", "after")),
]


def pipeline(storage: str, experiences: int) -> str:
    return (
        "name: soak\n"
        f"stream: {{dataset: digits, setting: domain-incremental, transform: permute, experiences: {experiences}}}\n"
        "model: {name: mlp, hidden: [16]}\n"
        "strategy: [{name: ewc, lambda: 10, samples: 20}, "
        f"{{name: replay, capacity: {CAPACITY}, ratio: 0.2}}]\n"
        "train: {steps: 12, batch_size: 32, checkpoint_every: 3, optimizer: {name: adam}}\n"
        f"storage: {storage}\n"
    )


@dataclass(frozen=True)
class Place:
    """Where a round keeps its lineage, with how many ranks it learns, and whether MLflow is told of it."""

    storage: str
    experiences: int
    ranks: int
    crash: Callable[[], None] | None = None
    followed: bool = False


class Round:
    """One stream from its beginning to its end, disturbed.

    Attributes:
        faults: how often each kind of fault was injected.
        violations: what did not hold.
        committed: commits that are visible.
    """

    def __init__(
        self, victims: Victims, others: Victims, chosen: random.Random, place: Place, stack: ExitStack
    ) -> None:
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.committed = 0
        self._victims, self._others, self._chosen, self._place = victims, others, chosen, place
        self._text = pipeline(place.storage, place.experiences)
        self._pipeline, self._stream, self._plan = prepared(self._text)
        self._lineage = Lineage(open_store(place.storage), self._pipeline.name)
        self._verified: set[str] = set()
        self._followed: Followed | None = None
        if place.followed:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="everlearn-soak-mlflow-")))
            followed = Followed(folder, self._text, self._plan[-1].id, len(self._plan))
            self._followed = stack.enter_context(followed)

    def run(self, over: Callable[[], bool]) -> None:
        """Disturb it until the stream is learned or the time is over; then learn the rest in peace."""
        kinds = [
            self._at_a_moment,
            self._at_any_time,
            self._around_a_commit,
            self._store_refuses,
            self._torn_checkpoint,
            self._stopped_for_a_while,
            self._taken_over,
        ]
        kinds += [self._a_rank] * 2 if self._place.ranks > 1 else []
        kinds += [self._server_crashes] if self._place.crash else []
        kinds += [self._tracking_fails] * 2 if self._followed else []
        while self.committed < len(self._plan):
            if over():
                self._live("killed: too slow", seconds=PATIENCE)
                self._check()
                break
            self._chosen.choice(kinds)()
            self._check()
        if self.committed < len(self._plan):
            self.violations.append(f"{self.committed} of {len(self._plan)} experiences after a run without faults")
            return
        # What the driver does at the end of a run.
        self._lineage.point("latest", self._plan[-1].id)
        if self._followed:
            self.violations += self._followed.violations()
            self.faults += self._followed.faults

    def compare(self, undisturbed: str) -> None:
        """Learn the same without faults, and compare everything."""
        if self.committed < len(self._plan):
            return
        text = pipeline(undisturbed, self._place.experiences)
        ending = self._victims.live(text, ranks=self._place.ranks, seconds=PATIENCE)
        if not ending.finished:
            self.violations += ["the undisturbed run failed", *ending.errors]
            return
        other = Lineage(open_store(undisturbed), self._pipeline.name)
        pairs = zip(content(self._lineage, self._plan), content(other, self._plan), strict=True)
        for mine, theirs in pairs:
            different = [key for key in mine if mine[key] != theirs[key]]
            if different:
                self.violations.append(f"commit {mine['id'][:12]} differs from the undisturbed: {', '.join(different)}")

    def _check(self) -> None:
        """Every visible commit is whole, the chain unbroken and never shorter, the refs valid, the memory right."""
        found = violations(self._lineage, verified=self._verified)
        chain = self._lineage.leading([planned.id for planned in self._plan])
        if len(chain) < self.committed:
            found.append(f"the chain had {self.committed} commits and has {len(chain)}")
        if len(chain) > self.committed:
            found += memory_violations(self._lineage, chain[-1], self._pipeline, self._stream, "replay", CAPACITY)
        ref = self._lineage.ref("latest")
        if len(chain) > 1 and (ref is None or ref.commit not in {commit.id for commit in chain}):
            found.append("latest stands for no commit of the chain")
        self.committed = len(chain)
        self.violations += found
        if self._followed:
            self._followed.take(chain)

    def _live(self, kind: str, moment: str | None = None, **more: Any) -> None:
        """Processes at work under a claim of this one, which is their driver."""
        with claimed(self._lineage, "run") as claim:
            self._under(claim, self._victims, kind, moment, **more)

    def _under(self, claim: Claim, victims: Victims, kind: str, moment: str | None = None, **more: Any) -> None:
        jump = self._chosen.choice(CLOCKS)
        ending = victims.live(self._text, moment, ranks=self._place.ranks, fence=claim.fence, jump=jump, **more)
        self.faults["clocks set forward and back"] += bool(jump)
        if not ending.finished:
            self.faults[kind] += 1
        self.violations += [text for text in ending.errors if not (expected(text) or (claim.lost and LOST in text))]

    def _soon(self, most: int) -> int:
        """A number that is reached well before the end of the stream."""
        return self._chosen.randint(1, most * self._place.experiences // EXPERIENCES + 1)

    def _moment(self, moments: Sequence[str]) -> str:
        """One of them that comes; only files have a moment in the middle of writing."""
        return self._chosen.choice([m for m in moments if not (self._place.crash and m.endswith("half"))])

    def _at_a_moment(self) -> None:
        moment = self._moment(MOMENTS)
        self._live(f"killed: {moment}", f"{moment} {self._soon(30)}")

    def _at_any_time(self) -> None:
        self._live("killed: at any time", seconds=self._chosen.uniform(0.1, 4.0))

    def _around_a_commit(self) -> None:
        moment = self._moment(["commit before", "commit half", "commit after", "ref before", "ref half"])
        self._live(f"killed: {moment}", f"{moment} {self._soon(12)}")

    def _a_rank(self) -> None:
        moment = self._chosen.choice(["step", "evaluation", "consolidation"])
        self._live("one of two ranks killed", f"{moment} {self._chosen.randint(1, 100)}", victim=1)

    def _stopped_for_a_while(self) -> None:
        pause = (self._chosen.uniform(0.1, 1.0), self._chosen.uniform(0.2, 1.0))
        victim = self._chosen.randrange(-1, self._place.ranks)
        self._live("stopped for a while, later killed", victim=victim, pause=pause, seconds=self._chosen.uniform(2, 4))

    def _taken_over(self) -> None:
        """The driver stops, so that its claim runs out; its ranks run on, or stop and continue, beside the next."""
        start = self._chosen.uniform(0.2, 1.0)
        pause, kind = None, "driver stopped: claim taken over from ranks at work"
        if self._chosen.random() < 0.5:
            pause, kind = (start, 1.5), "driver and ranks stopped: claim taken over, then continued"
        with claimed(self._lineage, "run") as lost:
            arguments = {"victim": -1, "pause": pause, "seconds": 4.0}
            before = threading.Thread(target=self._under, args=(lost, self._victims, kind), kwargs=arguments)
            before.start()
            time.sleep(start + 0.05)
            with claimed(self._lineage, "run") as claim:
                lost.lost = True
                seconds = self._chosen.uniform(1.0, 3.0)
                self._under(claim, self._others, "killed: at any time, after a takeover", seconds=seconds)
            before.join()

    def _store_refuses(self) -> None:
        self._live("store: a write refused", f"error {self._soon(60)}")

    def _torn_checkpoint(self) -> None:
        """Checkpoints with their end missing, as a file system without a journal may leave them after a power cut."""
        store = self._lineage.store
        for key in list(store.list("soak/runs/")):
            data = store.get(key)
            store.put(key, data[: self._chosen.randint(0, len(data) - 1)] if data else data)
            self.faults["store: a checkpoint torn"] += 1
        self._at_any_time()

    def _server_crashes(self) -> None:
        assert self._place.crash is not None
        crash = threading.Timer(self._chosen.uniform(0.5, 1.5), self._place.crash)
        crash.start()
        self.faults["S3: server killed and restarted"] += 1
        self._live("killed: at any time, after a crash of S3", seconds=self._chosen.uniform(8.0, 12.0))
        crash.join()

    def _tracking_fails(self) -> None:
        assert self._followed is not None
        self._followed.disturb(self._chosen)
        self._at_any_time()


def expected(text: str) -> bool:
    """Whether a rank that ended by itself had a reason: a refused write, or another rank was killed."""
    return any(reason in text for reason in ("a test asked for it", "gloo", "Gloo", "DistError", "Connection closed"))


@contextmanager
def in_s3(faults: Counter[str], chosen: random.Random) -> Iterator[tuple[Place, dict[str, str]]]:
    """A place in a real S3 server, and the environment that leads to it through a proxy that misbehaves."""
    import boto3

    from tests.s3.proxy import FAULTS, FaultyProxy
    from tests.s3.server import server

    running = server()
    with mock.patch.dict(os.environ, running.environment):
        bucket = f"soak-{uuid.uuid4().hex[:12]}"
        boto3.client("s3").create_bucket(Bucket=bucket)

        def rule(method: str, path: str, headers: dict[str, str]) -> str | None:
            if chosen.random() > 0.03:
                return None
            fault = chosen.choice(FAULTS)
            faults[f"S3: {fault}"] += 1
            return fault

        def crash() -> None:
            running.crash()
            time.sleep(1)
            running.start()

        with FaultyProxy(running.port, rule).running() as proxy:
            yield Place(f"s3://{bucket}/s", EXPERIENCES_IN_S3, 1, crash, followed=True), {"AWS_ENDPOINT_URL": proxy.url}


def soak(minutes: float, seed: int, first: int = 0) -> bool:
    """Run it and print what happened; whether nothing was violated."""
    end = time.monotonic() + 60 * minutes
    faults: Counter[str] = Counter()
    found: list[str] = []
    rounds, commits = first, 0
    while time.monotonic() < end:
        chosen = random.Random(f"{seed} {rounds}")
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="everlearn-soak-"))
            place, environment = Place(f"{folder}/disturbed", EXPERIENCES, 2 if rounds % 3 == 1 else 1), {}
            if rounds % 3 == 0:
                place, environment = stack.enter_context(in_s3(faults, random.Random(f"{seed} {rounds} s3")))
            with mock.patch.dict(os.environ, environment):
                victims, others = Victims(), Victims()
            # A claim that this process renews could not run out; it is one machine, and sees that its holder lives.
            stack.enter_context(mock.patch.object(claims, "_machine", lambda: None))
            stack.enter_context(mock.patch.object(Claim, "_renew", lambda self: None))
            stack.enter_context(mock.patch.dict(os.environ, {"EVERLEARN_CLAIM_LEASE": "0.05"}))
            with victims, others:
                one = Round(victims, others, chosen, place, stack)
                one.run(lambda: time.monotonic() > end)
                one.compare(f"{folder}/undisturbed")
        faults += one.faults
        found += one.violations
        commits += one.committed
        rounds += 1
        print(
            f"round {rounds}: {place.ranks} rank(s), {place.storage.partition('/')[0] or 'folder'} "
            f"{one.committed} of {place.experiences} experiences, {sum(one.faults.values())} faults, "
            f"violations: {len(one.violations) or 'none'}",
            file=sys.stderr,
        )
    print(f"{minutes:g} minutes, seed {seed}: {rounds - first} streams, {commits} commits, all compared bit by bit")
    for kind, count in sorted(faults.items()):
        print(f"  {kind:44} {count:5}")
    print(f"  {'faults':44} {sum(faults.values()):5}")
    print(f"violations: {'none' if not found else len(found)}")
    for text in found[:20]:
        print(f"  {text}")
    return not found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the first round: 0 in S3, 1 with two ranks, 2 with one")
    arguments = parser.parse_args()
    sys.exit(0 if soak(arguments.minutes, arguments.seed, arguments.first) else 1)


if __name__ == "__main__":
    main()
