"""The past of a long chain in one object: what its commits say, without their states.

    <pipeline>/outlines/<id of a commit>      a SHA-256, and a line for the commit and each of its ancestors

A step of a stream that never ends reads one outline and the few commits after it, instead of the whole chain. The file
follows from the commits and decides nothing: commits are what a lineage is verified by, and the newest one, whose state
is loaded, is always read whole. It is written behind the commits, by steps, under the claim of the run. Where it is
missing, damaged, or of another chain, the commits are read, and the next step writes it again. Whatever changes a
commit that is stored removes all outlines first. `fsck` compares them with the commits, `gc` removes those that no ref
needs, and `copy` leaves them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from orchestrator.errors import CorruptCommit, MissingKey
from orchestrator.lineage import layout
from orchestrator.lineage.commit import Commit

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage

EVERY = 16
"""One is written after so many commits: a step reads at most so many commits that no outline has."""
_SHA256_BYTES = 64


@dataclass(frozen=True)
class Past:
    """The commits of a chain, oldest first.

    Attributes:
        chain: the last is whole, of those before it some may be outlines (`outline_of`).
        outline: id of the commit whose outline they came from; None: all were read.
    """

    chain: list[Commit]
    outline: str | None = None


def outline_of(commit: Commit) -> Commit:
    """The commit without what its state is made of; its checksum is that of the whole commit."""
    return commit.model_copy(update={"blobs": {}, "memories": {}})


def read_past(lineage: Lineage, ids: Sequence[str]) -> Past:
    """As `Lineage.leading`, from an outline and the commits after it where `latest` is one of `ids`.

    An ancestor that was lost or damaged since it was outlined goes unnoticed here: `everlearn fsck` finds it, and
    `everlearn run`, which reads all, trains it again.

    Raises:
        CorruptCommit: a commit that was read is damaged.
        StorageError: the storage cannot be read.
    """
    try:
        latest = lineage.ref("latest")
    except CorruptCommit:
        latest = None  # whoever moves it says so
    # Of a chain of n commits, its last included, those before the last are outlined.
    place = ids.index(latest.commit) if latest is not None and latest.commit in ids else -1
    last = _outlined(place)
    known = read_outline(lineage, ids[last]) if last is not None else None
    if last is None or known is None or [commit.id for commit in known] != list(ids[: last + 1]):
        return Past(lineage.leading(ids))
    chain = lineage.leading(ids, known)
    if len(chain) == len(known):
        return Past(lineage.leading(ids))
    return Past(chain, ids[last])


def write_outline(lineage: Lineage, chain: Sequence[Commit], past: Past) -> None:
    """Write the outline that the next step reads, and remove the one before it; nothing where it is there.

    Args:
        lineage: under the claim of a run.
        chain: the commits that there are now.
        past: what was read before they were made.

    Raises:
        ClaimLost, StorageError: it is not written.
    """
    last = _outlined(len(chain) - 1)
    if last is None or chain[last].id == past.outline:
        return
    lineage.put(layout.outline_key(lineage.pipeline, chain[last].id), _encoded(chain[: last + 1]))
    if past.outline is not None:
        lineage.delete(layout.outline_key(lineage.pipeline, past.outline))


def ancestry(lineage: Lineage, commit: str) -> list[Commit]:
    """The commit and all its ancestors, oldest first, some of them as outlines; the commit itself is whole.

    Raises:
        StorageError: as `Lineage.chain`.
    """
    found: list[Commit] = []
    current: str | None = commit
    while current is not None:
        # The next one's place is a multiple: this one may have an outline.
        known = read_outline(lineage, current) if found and found[-1].experience.index % EVERY == 0 else None
        if known is not None:
            return [*known, *found[::-1]]
        one = lineage.read_if_there(current)
        if one is None:
            return lineage.chain(commit)  # which says what is lost
        found.append(one)
        current = one.parent
    return found[::-1]


def read_outline(lineage: Lineage, commit: str) -> list[Commit] | None:
    """A commit and its ancestors as outlines, oldest first; None: there is no outline, or it is damaged."""
    try:
        data = lineage.store.get(layout.outline_key(lineage.pipeline, commit))
    except MissingKey:
        return None
    lines = data[_SHA256_BYTES + 1 :].splitlines()
    if data[:_SHA256_BYTES].decode("ascii", "replace") != hashlib.sha256(data[_SHA256_BYTES + 1 :]).hexdigest():
        return None
    try:
        chain = [Commit.model_validate_json(line) for line in lines]
    except ValidationError:
        return None
    parents = [None, *(one.id for one in chain[:-1])]
    whole = bool(chain) and chain[-1].id == commit and [one.parent for one in chain] == parents
    return chain if whole else None


def follows_from_commits(lineage: Lineage, commit: str) -> bool:
    """Whether an outline says what the commits say, or is gone by now. Reads all of them, one at a time.

    Raises:
        StorageError: the storage cannot be read.
    """
    known = read_outline(lineage, commit)
    if known is None:
        return not lineage.store.exists(layout.outline_key(lineage.pipeline, commit))
    try:
        return all(outline_of(lineage.read(one.id)) == one for one in known)
    except (MissingKey, CorruptCommit):
        return False


def remove_outlines(lineage: Lineage) -> None:
    """Remove all of a pipeline, before a commit is changed. Raises ClaimLost, StorageError."""
    for key in list(lineage.store.list(layout.outlines_prefix(lineage.pipeline))):
        lineage.delete(key)


def _outlined(place: int) -> int | None:
    """The place of the commit whose outline a step reads when the last commit is at `place`; None: there is none."""
    last = place // EVERY * EVERY - 1
    return last if last >= 0 else None


def _encoded(chain: Sequence[Commit]) -> bytes:
    body = b"\n".join(outline_of(commit).model_dump_json().encode() for commit in chain)
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body
