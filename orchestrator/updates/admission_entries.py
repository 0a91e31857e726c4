"""What the records of the admission log are made of: decisions on files, experiences, what files have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from orchestrator.lineage.commit import BlobRecord, Int64, Sha256
from orchestrator.lineage.measurements import Count, is_none

Verdict = Literal["waiting", "admitted", "quarantined", "skipped", "approved", "released", "joined"]
Kind = Literal[
    "new",
    "late",
    "duplicate",
    "overwritten",
    "schema",
    "new_class",
    "contradiction",
    "unlabelled",
    "unreadable",
    "unchanged",
    "person",
]
Key = Annotated[str, Field(min_length=1, max_length=1024)]
Digest = Annotated[str, Field(min_length=1, max_length=200)]


class Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LateLabels(Entry):
    """Labels that came when the experience of their rows was there already.

    Attributes:
        serial: of the experience.
        labels: how many, of those that it has not, or has otherwise.
    """

    serial: Count
    labels: Annotated[int, Field(ge=1)]


class InputDrift(Entry):
    """How the inputs of a file that waits for labels differ from the test sets of the last experiences.

    Attributes:
        effect, usual, p_value, drift: as in `pipelines.drift.verdicts.Verdict`.
    """

    effect: float
    usual: float
    p_value: float
    drift: bool


class FileRecord(Entry):
    """What was decided of one version of a file.

    Attributes:
        key: its path below the source.
        size: bytes.
        version: of the file as a listing shows it: its ETag, or when it was written, in nanoseconds.
        sha256: of its content.
        rows: None where it could not be read.
        verdict: `waiting`: admitted, until its experience is complete; `admitted`: part of an experience;
            `quarantined`; `skipped`; `approved` by a person: admitted in the next step; `released` by a person: checked
            again in the next step; `joined`: a file of labels that count.
        kind: what it is: new, or one of the keys of `stream.source.on`, or unreadable, or the content that was learned;
            `unlabelled`: no label of it came in time.
        reason: a sentence for people; empty for what is simply new.
        time: the last time of its rows, where the source has a column of times.
        since: where labels come later: when it was written, in seconds since 1970.
        blob: then, the ids of its rows; of a file of labels its ids and their class numbers.
        missing: then, how many of its rows had no label when it was admitted.
        drift: then, of its inputs, while it waits; None: nothing had been admitted to compare it with.
        unknown: of a file of labels, how many were for no row that had come so far.
        late: of a file of labels, what came too late.
    """

    key: Key
    size: Count
    version: Annotated[str, Field(max_length=200)]
    sha256: Sha256
    rows: Count | None = None
    verdict: Verdict
    kind: Kind
    reason: Annotated[str, Field(max_length=1000)] = ""
    time: str | float | None = None
    since: Annotated[float | None, Field(exclude_if=is_none)] = None
    blob: Annotated[BlobRecord | None, Field(exclude_if=is_none)] = None
    missing: Annotated[Count | None, Field(exclude_if=is_none)] = None
    drift: Annotated[InputDrift | None, Field(exclude_if=is_none)] = None
    unknown: Annotated[Count | None, Field(exclude_if=is_none)] = None
    late: Annotated[tuple[LateLabels, ...] | None, Field(exclude_if=is_none)] = None


class Member(Entry):
    """A file of an experience, by its content."""

    key: Key
    sha256: Sha256


class AdmittedExperience(Entry):
    """An experience of the stream, for good.

    Attributes:
        serial: its number among all that were admitted; the ids of its rows are (serial << 40) | row.
        files: in the order of their rows.
        rows, samples: of the files, and of its training set.
        classes: that occur in it.
        fingerprint, test_fingerprint: of its training and its test set, as in ids of commits.
        test: the blob of its test set.
        since: where labels came later: when the newest of its files was written, in seconds since 1970.
        labels: then, the blob with the ids of all its rows and their class numbers; -1: none came in time.
        labelled: then, the files of labels that gave them.
        unlabelled: then, how many of its rows have no label, and are not learned.
    """

    serial: Count
    files: Annotated[tuple[Member, ...], Field(min_length=1)]
    rows: Count
    samples: Count
    classes: tuple[Int64, ...]
    fingerprint: Digest
    test_fingerprint: Digest
    test: BlobRecord
    since: Annotated[float | None, Field(exclude_if=is_none)] = None
    labels: Annotated[BlobRecord | None, Field(exclude_if=is_none)] = None
    labelled: Annotated[tuple[Member, ...] | None, Field(exclude_if=is_none)] = None
    unlabelled: Annotated[Count | None, Field(exclude_if=is_none)] = None


class SchemaRecord(Entry):
    """What all files have in common, fixed by the first ones.

    Attributes:
        shape, dtype: of an input.
        names: the columns of the inputs; None: they have no names.
        classes: how many.
        labels: the label of each class; None: labels are class numbers.
        booleans: the labels are false and true.
    """

    shape: tuple[Count, ...]
    dtype: str
    names: tuple[str, ...] | None
    classes: Count
    labels: tuple[int | str, ...] | None = None
    booleans: bool = False


class SettingsRecord(Entry):
    """Settings that a search has found: from an experience on, they stand in for those of the pipeline file.

    Attributes:
        since: serial number of the first experience that is trained with them.
        values: by path, such as `train.optimizer.lr`.
    """

    since: Count
    values: dict[str, JsonValue]


class HoldoutRecord(Entry):
    """The frozen holdout: of all test samples that were admitted, those whose ids have the smallest hashes.

    Attributes:
        samples: at most so many.
        experiences: of how many of the log's experiences, from the first on, samples were taken.
        covers: hash of these experiences (`orchestrator.updates.frozen_holdout`).
        blob: the samples.
    """

    samples: Annotated[int, Field(ge=1)]
    experiences: Count
    covers: Sha256
    blob: BlobRecord
