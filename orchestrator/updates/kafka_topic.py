"""A Kafka topic as a source: micro-batches of its messages stand for files.

A micro-batch is a range of offsets of one partition, and its key says which: `offsets-0-999-partition-2.jsonl`. The
admission records hold the keys, so that offsets are kept with what was learned from them: there is no consumer group,
and nothing is ever committed to Kafka. The next micro-batch of a partition begins where the last one in the log ends.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orchestrator.errors import StorageError
from orchestrator.updates.file_verdict import Found
from orchestrator.updates.source_listing import Listing
from pipelines.config.pipeline_errors import PipelineError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

SETTINGS = "EVERLEARN_KAFKA_CONFIG"
"""Names a file of the client's settings, `security.protocol=SASL_SSL` and the like: secrets stay out of pipelines."""
_KEY = re.compile(r"offsets-(\d+)-(\d+)-partition-(\d+)\.jsonl")
_WAIT_S = 10.0
"""Seconds without an answer after which a topic is not available."""
_POLL_S = 1.0
_AT_ONCE = 1000
"""Messages that are asked for together."""
_OURS = ("bootstrap.servers", "group.id", "enable.auto.commit", "enable.partition.eof", "auto.offset.reset")
"""Settings that a file may not change: what is read would be another thing than what the log says."""


@dataclass(frozen=True)
class KafkaTopic:
    """The messages of a topic. Values are JSON objects, one for each row; messages without a value are left out.

    Attributes:
        servers: `host:port`, several with commas between them.
        topic: its name.
        messages: offsets of a micro-batch.
        linger: seconds after which a micro-batch of fewer messages is complete, from when its first was written; None:
            it waits for all.
    """

    servers: str
    topic: str
    messages: int
    linger: float | None = None

    @classmethod
    def at(cls, path: str, messages: int, linger: float | None = None) -> KafkaTopic:
        """The topic at `kafka://host:port[,host:port]/topic`."""
        parts = urlsplit(path)
        return cls(parts.netloc, parts.path.strip("/"), messages, linger)

    def listing(self, known: Iterable[str] = ()) -> Listing:
        """The micro-batches in the log of which the topic still has messages, and those that are complete now.

        Raises:
            StorageError: the topic is not there, cannot be read, or is another one than the log speaks of.
        """
        in_log: dict[int, list[tuple[int, int]]] = {}
        for first, last, partition in map(_offsets, known):
            in_log.setdefault(partition, []).append((first, last + 1))
        found: list[Found] = []
        lost: list[str] = []
        now = time.time()
        for partition in self._partitions():
            ranges = in_log.get(partition, [])
            oldest, end = self._ends(partition)
            begin = max((stop for _, stop in ranges), default=0)
            if begin > end:
                raise StorageError(
                    f"{self}: partition {partition} ends at offset {end}, but offsets up to {begin - 1} were "
                    "admitted: the topic was created again.\nGive the new topic another name, or the pipeline"
                )
            if ranges and oldest > begin:
                lost.append(
                    f"{self}: partition {partition}: offsets {begin} to {oldest - 1} were removed by the topic's "
                    "retention before they were admitted: step more often, or keep messages for longer"
                )
            starts = range(max(begin, oldest), end - self.messages + 1, self.messages)
            ranges = [(first, stop) for first, stop in ranges if first >= oldest]
            ranges += [(start, start + self.messages) for start in starts]
            rest = max(begin, oldest) + len(starts) * self.messages
            if self._has_waited(partition, rest, end, now):
                ranges.append((rest, end))
            # Labels that come later are waited for from now on: a message need not have a time.
            found += [Found(_key(first, stop, partition), stop - first, "", now) for first, stop in ranges]
        return Listing(tuple(found), now, tuple(lost))

    def read(self, found: Found) -> bytes | None:
        """The rows of a micro-batch; None: some of its messages are gone, or cannot be read yet."""
        return self.read_key(found.key)

    def read_key(self, key: str) -> bytes | None:
        """As `read`."""
        first, last, partition = _offsets(key)
        oldest, end = self._ends(partition)
        if oldest > first or end <= last:
            return None
        rows = self._rows(partition, first, last + 1)
        return None if rows is None else b"".join(row + b"\n" for row in rows)

    def _has_waited(self, partition: int, first: int, stop: int, now: float) -> bool:
        """Whether messages that are too few for a micro-batch have waited long enough to be one."""
        if self.linger is None or first >= stop:
            return False
        from confluent_kafka import TIMESTAMP_NOT_AVAILABLE

        for message in self._messages(partition, first, stop, most=1) or ():
            kind, milliseconds = message.timestamp()
            return bool(kind != TIMESTAMP_NOT_AVAILABLE and now - milliseconds / 1000 >= self.linger)
        return False

    def _rows(self, partition: int, first: int, stop: int) -> list[bytes] | None:
        """The values of the offsets from `first` up to `stop`; None: the topic has no more to read before `stop`."""
        messages = self._messages(partition, first, stop)
        values = (message.value() for message in messages or ())
        # A line break is white space in JSON: inside a string it is written as \n.
        rows = [bytes(value).replace(b"\r", b" ").replace(b"\n", b" ") for value in values if value is not None]
        return None if messages is None else rows

    def _messages(self, partition: int, first: int, stop: int, most: int = _AT_ONCE) -> list[Message] | None:
        """The messages of the offsets from `first` up to `stop`; None: the topic has no more to read before `stop`.

        Args:
            most: so many are asked for together; where it is one, only the first is read.
        """
        from confluent_kafka import KafkaError, TopicPartition

        self._consumer.assign([TopicPartition(self.topic, partition, first)])
        read: list[Message] = []
        place = first
        silent_since = time.monotonic()
        while True:
            # The client waits for as many messages as are asked for: never ask for more than there are.
            messages = self._consumer.consume(min(stop - place, most), _POLL_S)
            if messages:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > _WAIT_S:
                raise self._unavailable(f"no answer for {_WAIT_S:g} s")
            for message in messages:
                error, offset = message.error(), message.offset()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        # What an open transaction has written is there, and cannot be read yet.
                        return read if offset is not None and offset >= stop else None
                    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                        return None
                    if error.fatal() or not error.retriable():
                        raise self._unavailable(error.str())
                    continue
                # Offsets of control records, and of what compaction removed, are missing.
                if offset is None or offset >= stop:
                    return read
                place = offset + 1
                read.append(message)
            if place == stop or (most == 1 and read):
                return read

    def _partitions(self) -> list[int]:
        from confluent_kafka import KafkaException

        try:
            found = self._consumer.list_topics(self.topic, timeout=_WAIT_S).topics[self.topic]
        except KafkaException as error:
            raise self._unavailable(_why(error.args[0], self.servers)) from None
        if found.error is not None:
            raise self._unavailable(found.error.str())
        return sorted(found.partitions)

    def _ends(self, partition: int) -> tuple[int, int]:
        """The oldest offset of a partition, and the one after its newest."""
        from confluent_kafka import KafkaException, TopicPartition

        try:
            found = self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), timeout=_WAIT_S)
        except KafkaException as error:
            raise self._unavailable(_why(error.args[0], self.servers)) from None
        if found is None:
            raise self._unavailable(f"no answer for {_WAIT_S:g} s")
        return found[0], found[1]

    @cached_property
    def _consumer(self) -> Consumer:
        try:
            from confluent_kafka import Consumer, KafkaException
        except ImportError:
            raise PipelineError(
                "stream.source.path: reading a Kafka topic needs confluent-kafka: pip install 'everlearn[kafka]'"
            ) from None
        settings: dict[str, Any] = {
            **client_settings(),
            "bootstrap.servers": self.servers,
            "group.id": "everlearn",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 50,  # a range of offsets waits for what was asked for before it
        }
        # Failures are reported as errors, and the client retries by itself: its log adds nothing.
        silent = logging.getLogger(f"{__name__}.client")
        silent.setLevel(logging.CRITICAL + 1)
        try:
            return Consumer(settings, logger=silent)
        except KafkaException as error:
            raise StorageError(f"{self}: {error.args[0].str()}.\nCorrect the file that {SETTINGS} names") from None

    def __getstate__(self) -> dict[str, object]:
        return {"servers": self.servers, "topic": self.topic, "messages": self.messages, "linger": self.linger}

    def _unavailable(self, why: str) -> StorageError:
        return StorageError(
            f"{self}: cannot be read: {why.removeprefix('Broker: ')}.\n"
            f"Correct stream.source.path, or the settings of the client in the file that {SETTINGS} names"
        )

    def __str__(self) -> str:
        return f"kafka://{self.servers}/{self.topic}"


def _why(error: KafkaError, servers: str) -> str:
    """Why the brokers gave no answer; the client's own words are of its inner workings where there is none at all."""
    code = type(error)
    silent = (code._TRANSPORT, code._ALL_BROKERS_DOWN, code._TIMED_OUT, code._RESOLVE)
    return f"no broker at {servers} answered within {_WAIT_S:g} s" if error.code() in silent else str(error.str())


def client_settings() -> dict[str, str]:
    """The settings of the file that EVERLEARN_KAFKA_CONFIG names: lines `name=value`, as Kafka's own clients have them.

    Raises:
        StorageError: it cannot be read, or sets what the log depends on.
    """
    path = os.environ.get(SETTINGS)
    if not path:
        return {}
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise StorageError(f"{path}: cannot be read: {reason}.\nCorrect {SETTINGS}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise StorageError(f"{path}: line {number} is not `name=value`.\nCorrect it")
        if name in _OURS:
            raise StorageError(f"{path}: line {number}: {name} is set by Everlearn.\nLeave it out")
        found[name] = value
    return found


def _key(first: int, stop: int, partition: int) -> str:
    return f"offsets-{first}-{stop - 1}-partition-{partition}.jsonl"


def _offsets(key: str) -> tuple[int, int, int]:
    """First and last offset, and partition, of a key. Raises StorageError: it names no messages."""
    found = _KEY.fullmatch(key)
    if found is None:
        raise StorageError(
            f"{key}: is a file, but stream.source.path is a Kafka topic: the pipeline learned from files so far.\n"
            "Give the pipeline that learns from the topic another name"
        )
    return int(found[1]), int(found[2]), int(found[3])
