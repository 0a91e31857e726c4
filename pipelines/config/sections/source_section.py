"""The `stream.source` part of a pipeline file: where files arrive, and which of them are learned."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from pipelines.config.document import Document, KeyPath
from pipelines.config.sections.section import Count, Spec, refuse
from strategies.api.influence import NOT_LEARNED, THROUGH_DATA

Format = Literal["parquet", "csv", "jsonl", "npz"]
Action = Literal["admit", "skip", "quarantine"]
Refusal = Literal["skip", "quarantine"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SUFFIXES: dict[str, tuple[str, ...]] = {
    "parquet": (".parquet",),
    "csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz"),
    "jsonl": (".jsonl", ".jsonl.gz"),
    "npz": (".npz",),
}
"""Endings of the files of a format, as its dataset has them."""
_IMAGES = (
    "image files are not admitted as they arrive: deliver decoded images, npz files with x of uint8 "
    "(n, channels, height, width) and y; or name a folder for each experience, dataset: {name: image-folder, "
    "by: folder}, and use everlearn run"
)
_OF_TABLES = ("features", "text", "tokenizer")
"""Options of datasets that a source has not."""
_NOT_OF_THE_DATASET = (
    "format",
    "time",
    "ready",
    "batch",
    "on",
    "max_quarantined",
    "messages",
    "linger",
    "mature",
    "labels",
)
KAFKA = "kafka://"
MESSAGES = 1000
"""Messages of a topic that stand for a file, where the source does not say."""
_TOPIC = re.compile(r"kafka://[^/@\s]+:\d+(,[^/@\s]+:\d+)*/[A-Za-z0-9._-]{1,249}/?")


def seconds_of(text: str) -> float:
    """The seconds of a duration such as 90s, 2m, 12h or 1d.

    Raises:
        ValueError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("must be a duration such as 30s, 2m, 12h or 1d")
    return float(found[1]) * _SECONDS[found[2]]


def _duration(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 30s, 2m, 12h or 1d")
    seconds_of(value)
    return value


def _lasting(value: Any) -> str:
    if seconds_of(_duration(value)) == 0:
        raise ValueError("must be longer than 0")
    return str(value)


Duration = Annotated[str, PlainValidator(_duration)]
Lasting = Annotated[str, PlainValidator(_lasting)]


class ReadySpec(Spec):
    """When a file is complete, so that it may be read. Exactly one of the two.

    Attributes:
        age: it was not changed for so long, such as 2m. By the clock of what holds the files.
        marker: name of an empty file that says so: `_SUCCESS` for all files of its folder, or `*.done` for one
            (a.csv is ready when there is a.csv.done).
    """

    age: Annotated[Duration | None, NOT_LEARNED] = None
    marker: Annotated[str | None, NOT_LEARNED] = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.age is None) == (self.marker is None):
            refuse([((), "must be {age: 2m} or {marker: _SUCCESS}")])
        if self.marker is not None and ("/" in self.marker or self.marker == "*"):
            refuse([(("marker",), "must be a file's name such as _SUCCESS, or an ending such as *.done")])
        return self


_DEFAULT_READY = ReadySpec(age="2m")


class BatchSpec(Spec):
    """Which files become one experience together. Exactly one of the three.

    Attributes:
        files: so many files.
        rows: as many files as have so many rows.
        every: the files that were written in the same period, such as 1d, once it is over.
    """

    files: Annotated[Count | None, NOT_LEARNED] = None
    rows: Annotated[Count | None, NOT_LEARNED] = None
    every: Annotated[Lasting | None, NOT_LEARNED] = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.files, self.rows, self.every)) != 1:
            refuse([((), "must be {files: 1}, {rows: 1000} or {every: 1d}")])
        return self


class HeldOutSpec(Spec):
    """Which rows of an experience are its test set.

    Attributes:
        id_hash: this share of the rows, by a hash of their ids: an id that is delivered again stays on its side, so
            that what was held out once is never trained on.
    """

    id_hash: Annotated[float, Field(gt=0, lt=1), THROUGH_DATA]


class OnSpec(Spec):
    """What happens with files that are not simply new: admit, skip, or quarantine.

    Attributes:
        late: it sorts before a file that was admitted, or all its times are before that file's. It is never put into
            the past. Of a file of `labels`: all of them are for rows of experiences; they change nothing.
        duplicate: another file had the same content.
        overwritten: a file that was admitted has another content now. Admitted, it is the next experience; the past
            stays as it is.
        schema: its columns, its shape or its type are not those of the files before it. It cannot be admitted.
        new_class: it has a label that is none of the classes. It cannot be admitted.
        contradiction: a file of `labels` gives an id another label than a file before it. Admitted, the newer label
            counts for what is not an experience yet.
    """

    late: Annotated[Action, NOT_LEARNED] = "admit"
    duplicate: Annotated[Action, NOT_LEARNED] = "skip"
    overwritten: Annotated[Action, NOT_LEARNED] = "quarantine"
    schema_: Annotated[Refusal, NOT_LEARNED] = Field(default="quarantine", alias="schema", serialization_alias="schema")
    new_class: Annotated[Refusal, NOT_LEARNED] = "quarantine"
    contradiction: Annotated[Action, NOT_LEARNED] = "quarantine"

    def to_document(self) -> Any:
        return self.model_dump(mode="json", by_alias=True)


class SourceSpec(Spec):
    """A folder or an S3 prefix where files arrive. `everlearn step` admits them, in the order in which they come.

    Attributes:
        path: the folder, or s3://bucket/prefix; with all folders below it. Names that begin with a dot or an underscore
            are left out. Or a Kafka topic, kafka://host:port/topic, whose messages are JSON objects.
        format: of the files.
        label: column of the labels; by default `label`, and the array `y` in npz files.
        id: column of the ids, whole numbers or text; by default row numbers are the ids.
        time: column of the time of a row, by which a file is late; it is no input. By default the names decide.
        inputs: columns of the inputs; by default all but the label, the id and the time.
        classes: number of classes, or the labels in the order of the classes. By default those of the files that are
            admitted first: the size of the model's head is fixed then, so name all that there will be.
        shape: shape that each input is given, such as [1, 28, 28]; by default the inputs keep theirs.
        channels: `last`, where images are (height, width, channels); models take them first.
        delimiter: the character between columns of csv files; by default a tab in .tsv files, else a comma.
        test_fraction: share of each class of an experience that is kept as its test set, in the store.
        test: instead, which rows are; by default those of `test_fraction`.
        ready: when a file is complete.
        batch: which files become one experience together.
        on: what happens with files that are late, duplicates, overwritten, or do not fit.
        max_quarantined: with more files in quarantine, nothing is trained, and `everlearn step` ends with status 4.
        messages: of a Kafka topic, so many messages of one partition stand for a file, once they are there; by default
            1000.
        linger: of a Kafka topic: fewer messages stand for a file, too, once the first of them was written so long ago,
            such as 5m. By default all are waited for.
        mature: the files have no labels; these come later, by id, as files in `labels`. A file is trained when all its
            rows have labels, or so long after it was written, such as 7d, with the labels that have come by then.
        labels: the folder, or s3://bucket/prefix, of the files of labels: of any of the formats, by their endings,
            with the columns `id` and `label`.
    """

    path: Annotated[str, THROUGH_DATA] = Field(min_length=1)
    format: Annotated[Format, THROUGH_DATA]
    label: Annotated[str | None, THROUGH_DATA] = Field(default=None, min_length=1)
    id: Annotated[str | None, THROUGH_DATA] = Field(default=None, min_length=1)
    time: Annotated[str | None, THROUGH_DATA] = Field(default=None, min_length=1)
    inputs: Annotated[str | list[str] | None, THROUGH_DATA] = None
    classes: Annotated[Count | list[int | str] | None, THROUGH_DATA] = None
    shape: Annotated[list[Count] | None, THROUGH_DATA] = None
    channels: Annotated[Literal["first", "last"] | None, THROUGH_DATA] = None
    delimiter: Annotated[str | None, THROUGH_DATA] = Field(default=None, min_length=1, max_length=1)
    test_fraction: Annotated[float | None, THROUGH_DATA] = Field(default=None, gt=0, lt=1)
    test: Annotated[HeldOutSpec | None, THROUGH_DATA] = None
    ready: Annotated[ReadySpec, NOT_LEARNED] = _DEFAULT_READY
    batch: Annotated[BatchSpec, NOT_LEARNED] = BatchSpec(files=1)
    on: Annotated[OnSpec, NOT_LEARNED] = OnSpec()
    max_quarantined: Annotated[int, NOT_LEARNED] = Field(default=3, ge=0)
    messages: Annotated[Count | None, NOT_LEARNED] = None
    linger: Annotated[Lasting | None, NOT_LEARNED] = None
    mature: Annotated[Lasting | None, NOT_LEARNED] = None
    labels: Annotated[str | None, NOT_LEARNED] = Field(default=None, min_length=1)

    @property
    def is_topic(self) -> bool:
        """Whether messages of a Kafka topic stand for files."""
        return self.path.startswith(KAFKA)

    @model_validator(mode="before")
    @classmethod
    def _columns_of_numbers(cls, given: Any) -> Any:
        if isinstance(given, dict):
            found: list[tuple[KeyPath, str]] = [
                ((key,), "files that arrive have columns of numbers: write the numbers, or give the files as a dataset")
                for key in _OF_TABLES
                if key in given
            ]
            if "image" in given or given.get("format") in ("image-folder", "png", "jpeg", "jpg"):
                found.append((("image" if "image" in given else "format",), _IMAGES))
            refuse(found)
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.delimiter is not None and self.format != "csv":
            refuse([(("delimiter",), f"has no meaning in {self.format} files: leave it out")])
        if self.test is not None and self.test_fraction is not None:
            refuse([(("test",), "stands beside test_fraction, which says it otherwise: leave one of them out")])
        self._refuse_for_topics()
        refuse(list(self._labels_that_come_later()))
        return self

    def _refuse_for_topics(self) -> None:
        if not self.is_topic:
            given = [key for key in ("messages", "linger") if getattr(self, key) is not None]
            refuse([((key,), f"is of Kafka topics, and {self.path} is none: leave it out") for key in given])
            return
        found: list[tuple[KeyPath, str]] = []
        if not _TOPIC.fullmatch(self.path):
            found.append((("path",), "must be kafka://host:port/topic, or kafka://host:port,host:port/topic"))
        if self.format != "jsonl":
            found.append((("format",), "must be jsonl: each message of a Kafka topic is a JSON object"))
        if self.ready != _DEFAULT_READY:
            found.append((("ready",), "is of files: messages that are in a Kafka topic are complete. Leave it out"))
        if self.batch.every is not None:
            found.append(
                (
                    ("batch",),
                    "every: is of files: a Kafka topic has {files: N}, of `messages` each or `linger`, or {rows: N}",
                )
            )
        refuse(found)

    def _labels_that_come_later(self) -> Iterator[tuple[KeyPath, str]]:
        if self.mature is None:
            if self.labels is not None:
                yield ("labels",), "labels that come later need `mature`, such as 7d: how long they are waited for"
            return
        if self.labels is not None and self.labels.startswith(KAFKA):
            yield ("labels",), "labels come as files, which a Kafka topic has not: name a folder, or s3://bucket/prefix"
        elif self.labels is None:
            yield ("mature",), "needs `labels`, the folder or s3:// prefix where the files of labels arrive"
        elif _holds(self.path, self.labels) or _holds(self.labels, self.path):
            yield ("labels",), "lies in the folder of the inputs, or holds it: name a folder beside it"
        if self.id is None:
            yield ("mature",), "needs `id`, the column by which labels are joined to their rows"
        if self.classes is None:
            yield ("mature",), "needs `classes`, how many or which labels there will be: the inputs come before them"


def _holds(folder: str, other: str) -> bool:
    """Whether files of one folder are files of the other; names that begin with a dot or an underscore are not."""
    folder, other = _plain(folder), _plain(other)
    below = other.removeprefix(f"{folder}/").split("/") if other != folder else []
    return other == folder or (other.startswith(f"{folder}/") and not any(part[:1] in "._" for part in below))


def _plain(path: str) -> str:
    """A path as two spellings of it have it: ./in/ and in."""
    if "://" in path:
        return path.rstrip("/")
    return os.path.normpath(Path(path).absolute())


def write_out_source(document: Document) -> None:
    """Give a stream with a `source` its `dataset`, which says how the same files are read.

    A dataset that is written beside a source has to be this one: the schema compares them.
    """
    stream = document.get(("stream",))
    source = document.get(("stream", "source"))
    if not isinstance(stream, dict) or not isinstance(source, dict) or "dataset" in stream:
        return
    stream["dataset"] = dataset_of(source)
    origin = document.origins.get(("stream", "source"))
    if origin is not None:
        document.origins[("stream", "dataset")] = origin
    for key in stream["dataset"]:
        place: KeyPath = ("stream", "source", "format" if key == "name" else key)
        if place in document.origins:
            document.origins[("stream", "dataset", key)] = document.origins[place]


def dataset_of(source: dict[str, Any]) -> dict[str, Any]:
    """The `dataset` that reads the files of a `source`, both as in a pipeline file."""
    taken = [key for key in SourceSpec.model_fields if key not in _NOT_OF_THE_DATASET]
    name = source.get("format")
    # The schema reports a format that is missing or wrong; the dataset needs some name until then.
    known = name if isinstance(name, str) and name else "parquet"
    return {"name": known, **{key: source[key] for key in taken if source.get(key) is not None}}
