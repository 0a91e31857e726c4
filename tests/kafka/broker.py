"""Kafka brokers for tests: Apache Kafka itself where Java is, and the one that its C client has for tests.

The second speaks Kafka's protocol over TCP, is started in this process in milliseconds, and is no Kafka: it keeps
messages in memory, and knows neither retention nor transactions.
"""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer

HERE = Path(__file__).parent
# Kafka 0.9 cannot be asked for its version.
OF_VERSION_0_9 = {"api.version.request": "false", "broker.version.fallback": "0.9.0.1"}

RETAINED_BYTES = 20_000
"""Of a partition, after which the oldest messages are removed, a segment of 10 000 bytes at a time."""


class Broker:
    """A broker on loopback.

    Attributes:
        address: host:port.
        settings: that a client needs beside the address.
    """

    def __init__(self, address: str, settings: dict[str, str]) -> None:
        self.address, self.settings = address, settings
        silent = logging.getLogger(f"{__name__}.producer")
        silent.setLevel(logging.CRITICAL + 1)
        # Not more at once than a segment holds.
        options: dict[str, Any] = {**settings, "bootstrap.servers": address, "batch.num.messages": 50}
        self._producer = Producer(options, logger=silent)

    def send(self, topic: str, values: list[bytes | None], partition: int = 0) -> None:
        failures: list[str] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error.str())

        for value in values:
            self._producer.produce(topic, value, partition=partition, on_delivery=delivered)
        assert self._producer.flush(30) == 0 and not failures, failures


@contextmanager
def protocol_broker() -> Iterator[Broker]:
    """The client library's own, for tests; its topics have four partitions."""
    held = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (one,) = held.list_topics(timeout=10).brokers.values()
    yield Broker(f"{one.host}:{one.port}", {})
    del held


@contextmanager
def apache_kafka() -> Iterator[Broker]:
    """Apache Kafka and its ZooKeeper. Skips the test where they cannot be fetched or there is no Java."""
    fetched = subprocess.run([HERE / "fetch.sh"], capture_output=True, text=True, check=False)
    if fetched.returncode:
        pytest.skip(f"no Apache Kafka: {fetched.stderr.strip()[-300:]}")
    folder = Path(tempfile.mkdtemp(prefix="everlearn-kafka-"))
    keeper, port = _free_port(), _free_port()
    (folder / "keeper").write_text(f"dataDir={folder}/zookeeper\nclientPort={keeper}\nclientPortAddress=127.0.0.1\n")
    (folder / "server").write_text(
        f"broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={folder}/log\nnum.partitions=4\n"
        f"zookeeper.connect=127.0.0.1:{keeper}\nlog.cleaner.enable=false\nlog.retention.check.interval.ms=500\n"
        f"log.segment.bytes=10000\nlog.segment.delete.delay.ms=100\nlog.retention.bytes={RETAINED_BYTES}\n"
    )
    (folder / "log4j").write_text(
        "log4j.rootLogger=WARN, stdout\nlog4j.appender.stdout=org.apache.log4j.ConsoleAppender\n"
        "log4j.appender.stdout.layout=org.apache.log4j.SimpleLayout\n"
    )
    mains = {"keeper": "org.apache.zookeeper.server.quorum.QuorumPeerMain", "server": "kafka.Kafka"}
    running = []
    try:
        for name, main in mains.items():
            with (folder / f"{name}.log").open("wb") as log:
                command = [
                    "java",
                    f"-Dlog4j.configuration=file:{folder}/log4j",
                    "-Xmx192m",
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                ]
                command += [f"{fetched.stdout.strip()}/libs/*", main, str(folder / name)]
                running.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=folder))
            _answers(keeper if name == "keeper" else port, folder / f"{name}.log")
        yield Broker(f"127.0.0.1:{port}", OF_VERSION_0_9)
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"it does not start: {log.read_text()[:1500]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
