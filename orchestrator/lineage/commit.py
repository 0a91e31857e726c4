"""The commit: the immutable, complete record of a model after one experience."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, JsonValue, ValidationError
from pydantic_core import to_jsonable_python

from orchestrator.errors import CorruptCommit, StorageError
from orchestrator.lineage.canonical_json import canonical_json, digest, digest_of_json, parse_json
from orchestrator.lineage.capability_record import AnswersRecord, CapabilityRecord
from orchestrator.lineage.measurements import (
    Count,
    Name,
    QualityRecord,
    Record,
    ScoreRecord,
    SizeRecord,
    TestCount,
    is_none,
)

# Commits of a newer format are refused; an older one is read for ever. Format 2 has scores beside the accuracy; a
# commit without them is written in format 1, with the same bytes as by older versions. Format 3 has capabilities.
FORMAT = 3
_ID_FORMAT = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$"
PipelineName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)]


class ExperienceRecord(Record):
    """What a commit learned.

    Attributes:
        index: position in the stream, from 0.
        task: the task label.
        classes: the dataset's classes in it.
        fingerprint: hash of the data.
        samples: size of the training set.
    """

    index: Count
    task: Int64
    classes: tuple[Int64, ...]
    fingerprint: Annotated[str, Field(min_length=1, max_length=1000)]
    samples: Count


class BlobRecord(Record):
    """A blob by its content: SHA-256 and size in bytes."""

    sha256: Sha256
    bytes: Count


class ShardRecord(Record):
    """What one experience contributed to a memory.

    Attributes:
        experience: its position in the stream.
        sha256, bytes: the blob, never rewritten: the contribution sorted by key within each group.
        lengths: by group, how many of its first samples are still in the memory.
    """

    experience: Count
    sha256: Sha256
    bytes: Count
    lengths: dict[str, Count]


class MemoryRecord(Record):
    """One strategy's memory after the experience, oldest shard first."""

    shards: tuple[ShardRecord, ...] = ()


class ForgottenRecord(Record):
    """That samples were removed from a commit's memories by their ids.

    Attributes:
        at: when, ISO 8601, UTC.
        samples: how many were still stored.
    """

    at: Annotated[str, Field(pattern=_TIME)]
    samples: Count


class Commit(Record):
    """One link of a lineage.

    Attributes:
        format: of this record.
        id: hash of what decides the content, known before training; see `commit_id`.
        parent: id of the commit before, None for the first.
        pipeline: name of the pipeline that made it.
        experience: what was learned.
        spec: the parts of the pipeline that influence the result.
        row: the model on every test set of the stream as it was then.
        previous: the parent's model on test sets that the parent's row lacks.
        baseline: the untrained model on test sets that no ancestor has.
        quality: more of the model on the test sets of the experiences so far; None in older commits, as `size`.
        size: of the model and the memories.
        task_labels: how test samples got their task, for strategies that ask for it.
        blobs: model, optimiser and strategy states by name; `answers`: which test samples were answered right.
        memories: rehearsal memories by the name of their strategy.
        losses: (step, loss, milliseconds since 1970) points of the training curve.
        steps: optimiser steps.
        versions: of the libraries that took part.
        timings: seconds by part of the work.
        created: ISO 8601, UTC.
        forgotten: samples that were removed from its memories after it was made.
        scores: what the test sets were scored by, beside which there may be the accuracy: the first is the score of the
            pipeline, which the score matrix holds; None: the accuracy alone.
        capabilities: what the model answered to items that no experience trains on, and whether it still can what it
            could; None: it was not asked.
        capabilities_before: what the model answered before the first experience; only in the first commit of a chain.
        thinned: when its blobs and memories were removed to save space, ISO 8601, UTC; None: it is complete.
        checksum: SHA-256 of the canonical JSON of all other fields.
    """

    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT
    id: Sha256
    parent: Sha256 | None
    pipeline: PipelineName
    experience: ExperienceRecord
    spec: dict[str, JsonValue]
    row: tuple[TestCount, ...] = ()
    previous: tuple[TestCount, ...] = ()
    baseline: tuple[TestCount, ...] = ()
    quality: QualityRecord | None = None
    size: SizeRecord | None = None
    task_labels: Literal["given", "inferred"] | None = None
    blobs: dict[Name, BlobRecord] = Field(default_factory=dict)
    memories: dict[Name, MemoryRecord] = Field(default_factory=dict)
    losses: tuple[tuple[Count, FiniteFloat, Count], ...] = ()
    steps: Count = 0
    versions: dict[str, str] = Field(default_factory=dict)
    timings: dict[str, FiniteFloat] = Field(default_factory=dict)
    created: Annotated[str, Field(pattern=_TIME)]
    forgotten: tuple[ForgottenRecord, ...] = ()
    thinned: Annotated[str, Field(pattern=_TIME)] | None = None
    scores: Annotated[tuple[ScoreRecord, ...] | None, Field(exclude_if=is_none)] = None
    capabilities: Annotated[tuple[CapabilityRecord, ...] | None, Field(exclude_if=is_none)] = None
    capabilities_before: Annotated[tuple[AnswersRecord, ...] | None, Field(exclude_if=is_none)] = None
    checksum: Sha256

    @classmethod
    def create(cls, **fields: Any) -> Self:
        """A commit of `fields`: all but `format`, `id` and `checksum`, which follow from them. `created` is now.

        Raises:
            ValueError: the fields do not make a commit (pydantic's ValidationError is one), or hold NaN or infinity.
            TypeError: they hold something that is no JSON.
        """
        document: dict[str, Any] = to_jsonable_python({"created": utc_now(), "spec": {}, **fields})
        fingerprint = ExperienceRecord.model_validate(document.get("experience"), strict=False).fingerprint
        document |= {
            "format": _format(document),
            "id": commit_id(parent=document.get("parent"), fingerprint=fingerprint, spec=document["spec"]),
            "checksum": "0" * 64,
        }
        return cls._sealed(document)

    def revised(self, **changes: Any) -> Self:
        """The same commit with other fields, none of which decides its id. Raises ValueError as `create`."""
        document = {**self.document(), **to_jsonable_python(changes)}
        revised = self._sealed({**document, "format": _format(document)})
        revised._verify_id(self.id)
        return revised

    @classmethod
    def parse(cls, data: bytes, *, expected: str | None = None, source: str = "commit") -> Self:
        """Read and verify what `to_json` wrote.

        Args:
            expected: the id that it has to have.
            source: its name in messages.

        Raises:
            CorruptCommit: it is damaged, was changed after it was made, or is another commit than `expected`.
            StorageError: it was made by a newer version.
        """
        try:
            document = parse_json(data)
            if not isinstance(document, dict):
                raise ValueError("not an object")
            found = document.get("format")
            if isinstance(found, int) and not isinstance(found, bool) and found > FORMAT:
                raise StorageError(
                    f"{source}: made by a newer Everlearn (commit format {str(found)[:20]}; {FORMAT} is known here).\n"
                    "Upgrade Everlearn, or set `storage` to another place"
                )
            rest = {key: value for key, value in document.items() if key != "checksum"}
            if digest_of_json(rest) != document.get("checksum"):
                raise ValueError("its checksum is wrong")
            commit = cls.model_validate_json(data)
            commit._verify_id(expected)
        except ValidationError as error:
            raise _corrupt(source, _first_problem(error)) from None
        except (ValueError, RecursionError) as error:
            raise _corrupt(source, str(error)[:200]) from None
        return commit

    def to_json(self) -> bytes:
        """The commit as it is stored: canonical JSON."""
        return canonical_json(self.document())

    def document(self) -> dict[str, Any]:
        """The commit as plain JSON data."""
        return self.model_dump(mode="json")

    def outline(self) -> Self:
        """Without what was measured, which is most of its size; its checksum no longer fits."""
        return self.model_copy(update={"row": (), "previous": (), "baseline": (), "losses": (), "quality": None})

    def referenced(self) -> dict[str, int]:
        """Every blob that this commit needs: size in bytes by SHA-256."""
        shards = [shard for memory in self.memories.values() for shard in memory.shards]
        return {r.sha256: r.bytes for r in self.blobs.values()} | {shard.sha256: shard.bytes for shard in shards}

    def require_state(self) -> None:
        """Raise StorageError when the commit's blobs were removed to save space."""
        if self.thinned:
            raise StorageError(
                f"commit {self.id[:12]}: its model and states were removed by `everlearn gc --keep` on "
                f"{self.thinned[:10]}; only its record is left.\n"
                "Use a newer commit, or train again under another `name` or in another `storage`"
            )

    @classmethod
    def _sealed(cls, document: dict[str, Any]) -> Self:
        """A commit of `document`, with its checksum."""
        # The hash is of what a reader will get: tuples, defaults, and whole numbers in place of floats are normalised.
        settled = cls.model_validate_json(canonical_json(document)).document()
        del settled["checksum"]
        return cls.model_validate_json(canonical_json({**settled, "checksum": digest(settled)}))

    def _verify_id(self, expected: str | None) -> None:
        made = commit_id(parent=self.parent, fingerprint=self.experience.fingerprint, spec=self.spec)
        if made != self.id:
            raise ValueError("its id does not belong to its parent, data and settings")
        if expected is not None and self.id != expected:
            raise ValueError(f"it is commit {self.id[:12]}, stored under the wrong name")


@lru_cache(maxsize=8)
def parse_once(data: bytes, expected: str, source: str) -> Commit:
    """`Commit.parse`, of the same bytes once: a step asks for the newest commits again and again. Raises as it."""
    return Commit.parse(data, expected=expected, source=source)


def commit_id(*, parent: str | None, fingerprint: str, spec: Any) -> str:
    """The id of the commit that follows `parent`, learns the data of `fingerprint`, and is influenced by `spec`.

    Raises ValueError or TypeError when `spec` has no canonical JSON.
    """
    return commit_id_of(parent, fingerprint, canonical_json(spec))


def commit_id_of(parent: str | None, fingerprint: str, spec: bytes) -> str:
    """`commit_id`, of a `spec` that is canonical JSON already: many commits of a long stream have the same."""
    # The canonical JSON of an object with these four keys.
    head = f'{{"fingerprint":{json.dumps(fingerprint)},"format":{_ID_FORMAT},"parent":{json.dumps(parent)},"spec":'
    return hashlib.sha256(head.encode("ascii") + spec + b"}").hexdigest()


def _format(document: dict[str, Any]) -> int:
    if document.get("capabilities") is not None or document.get("capabilities_before") is not None:
        return FORMAT
    return 1 if document.get("scores") is None else 2


def utc_now() -> str:
    """ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _corrupt(source: str, problem: str) -> CorruptCommit:
    return CorruptCommit(
        f"{source}: damaged: {problem}.\n"
        "Restore it from a copy of the storage, or delete it: the next run then trains it again"
    )


def _first_problem(error: ValidationError) -> str:
    # The message does not quote the wrong value, which may be long or private.
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part)[:50] for part in first["loc"][:8])
    return f"{where}: {first['msg'][:150]}" if where else first["msg"][:150]
