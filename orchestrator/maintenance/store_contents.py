"""The objects of a pipeline in a store, by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.errors import MissingKey
from orchestrator.lineage import layout
from orchestrator.lineage.fencing import NOTE_BYTES, is_note

if TYPE_CHECKING:
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.store import Entry

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHECKPOINT = re.compile(r"([0-9a-f]{64})/\d{12}-(?:[0-9a-f]{16}-\d+of\d+-)?([0-9a-f]{64})\.safetensors")
_ADMISSION = re.compile(r"(\d+|index)\.json")
_DECISION = re.compile(r"(\d{9}|index)\.json")
_RECORD = re.compile(r"tune-[^/]+/\d{6}\.json")


@dataclass
class Contents:
    """A listing of one pipeline.

    Attributes:
        commits, blobs: by id and by SHA-256.
        refs: by name.
        checkpoints: checkpoints within an experience.
        records: records of the trials of searches.
        scratch: other objects in `runs/`.
        admissions: records of the admission log, and its index.
        claims: claims of runs, searches and maintenance commands.
        decisions: verdicts, promotions and rollbacks.
        outlines: what commits say of their past, by the id of the commit.
        unfinished: notes of writes that are under way or were interrupted (see `orchestrator.lineage.fencing`).
        unknown: objects that Everlearn did not write.
    """

    commits: dict[str, Entry] = field(default_factory=dict)
    blobs: dict[str, Entry] = field(default_factory=dict)
    refs: dict[str, Entry] = field(default_factory=dict)
    checkpoints: list[Entry] = field(default_factory=list)
    records: list[Entry] = field(default_factory=list)
    scratch: list[Entry] = field(default_factory=list)
    admissions: list[Entry] = field(default_factory=list)
    claims: list[Entry] = field(default_factory=list)
    decisions: list[Entry] = field(default_factory=list)
    outlines: dict[str, Entry] = field(default_factory=dict)
    unfinished: list[Entry] = field(default_factory=list)
    unknown: list[Entry] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Bytes of all objects together."""
        named = [*self.commits.values(), *self.blobs.values(), *self.refs.values(), *self.outlines.values()]
        rest = [*self.checkpoints, *self.records, *self.scratch, *self.admissions, *self.claims, *self.decisions]
        rest += [*self.unfinished, *self.unknown]
        return sum(entry.bytes for entry in [*named, *rest])


def read_contents(lineage: Lineage) -> Contents:
    """List a pipeline. Raises StorageError."""
    found = Contents()
    named = (layout.tombstones_key, layout.debt_key, layout.index_key)
    own = [key(lineage.pipeline) for key in named]
    for entry in lineage.store.entries(f"{lineage.pipeline}/"):
        folder, _, name = entry.key.removeprefix(f"{lineage.pipeline}/").partition("/")
        stem = name.removesuffix(".json")
        is_json = stem != name
        if entry.bytes == NOTE_BYTES and _is_note(lineage, entry.key):
            found.unfinished.append(entry)
        elif folder == "commits" and is_json and _SHA256.fullmatch(stem):
            found.commits[stem] = entry
        elif folder == "blobs" and _SHA256.fullmatch(name):
            found.blobs[name] = entry
        elif folder == "outlines" and _SHA256.fullmatch(name):
            found.outlines[name] = entry
        elif folder == "refs" and is_json and layout.is_ref(stem):
            found.refs[stem] = entry
        elif folder == "claims" and is_json and layout.is_ref(stem):
            found.claims.append(entry)
        elif folder == "admissions" and _ADMISSION.fullmatch(name):
            found.admissions.append(entry)
        elif folder == "decisions" and _DECISION.fullmatch(name):
            found.decisions.append(entry)
        elif folder == "runs":
            _below_runs(found, entry, name)
        elif entry.key not in own:
            found.unknown.append(entry)
    return found


def checkpoint_name(entry: Entry) -> tuple[str, str]:
    """The id of the commit that a checkpoint leads to, and the SHA-256 that it should have."""
    match = _CHECKPOINT.fullmatch("/".join(entry.key.split("/")[-2:]))
    assert match is not None
    return match[1], match[2]


def _is_note(lineage: Lineage, key: str) -> bool:
    try:
        return is_note(lineage.store.get(key))
    except MissingKey:
        return False


def _below_runs(found: Contents, entry: Entry, name: str) -> None:
    if _CHECKPOINT.fullmatch(name):
        found.checkpoints.append(entry)
    elif _RECORD.fullmatch(name):
        found.records.append(entry)
    else:
        found.scratch.append(entry)
