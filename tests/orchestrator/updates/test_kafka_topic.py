"""Steps over real topics: what is learned from a topic is what files of the same messages give, each message once."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.storage.folder_store import FolderStore
from orchestrator.updates import admission_log, admitted_stream, kafka_topic, run_step
from orchestrator.updates.kafka_topic import KafkaTopic, client_settings
from orchestrator.updates.source_files import open_source
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from tests.kafka.broker import RETAINED_BYTES, Broker, apache_kafka, protocol_broker
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import CENTRES, FILE, KillableStore, Killed, contents, step, train_here


@pytest.fixture(scope="module")
def quick() -> Iterator[Broker]:
    with protocol_broker() as running:
        yield running


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Path]]:
    with apache_kafka() as running:
        lines = [f"{name} = {value}\n" for name, value in running.settings.items()]
        file = tmp_path_factory.mktemp("kafka") / "client.properties"
        file.write_text("# Kafka 0.9\n\n" + "".join(lines))
        yield running, file


@pytest.fixture(params=["quick", pytest.param("real", marks=pytest.mark.slow)])
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Broker:
    if request.param == "quick":
        return request.getfixturevalue("quick")  # type: ignore[no-any-return]
    running, file = request.getfixturevalue("real")
    monkeypatch.setenv(kafka_topic.SETTINGS, str(file))
    return running  # type: ignore[no-any-return]


@pytest.fixture
def topic() -> str:
    return f"clicks-{uuid.uuid4().hex[:8]}"


def rows(count: int, *, seed: int = 0, classes: tuple[int, ...] = (0, 1)) -> list[bytes]:
    random = np.random.default_rng(seed)
    labels = np.resize(classes, count)
    inputs = (CENTRES[labels] + 0.3 * random.normal(size=(count, CENTRES.shape[1]))).round(3)
    return [
        json.dumps({**{f"x{i}": float(v) for i, v in enumerate(x)}, "label": int(y)}).encode()
        for x, y in zip(inputs, labels, strict=True)
    ]


def pipeline_of(folder: Path, path: str, more: str = "") -> Pipeline:
    text = FILE.replace('"{folder}/in", format: npz', f'"{path}", format: jsonl').format(folder=folder, more=more)
    return load_text(text, "arriving.yaml")


def of_topic(folder: Path, broker: Broker, topic: str, more: str = "") -> Pipeline:
    return pipeline_of(folder, f"kafka://{broker.address}/{topic}", f", messages: 20{more}")


def test_a_topic_gives_the_chain_of_files_with_its_messages(broker: Broker, topic: str, tmp_path: Path) -> None:
    pipeline = of_topic(tmp_path / "topic", broker, topic)
    first, second, third = rows(20), rows(20, seed=1), rows(20, seed=2, classes=(2, 3))
    pretty = json.dumps(json.loads(second[0]), indent=2).encode()
    broker.send(topic, [*first, pretty, *second[1:12]])
    broker.send(topic, third, partition=1)
    result = step(pipeline)
    keys = ["offsets-0-19-partition-0.jsonl", "offsets-0-19-partition-1.jsonl"]
    assert (result.outcome, result.trained, result.experiences) == ("trained", 2, 2)
    assert [(file.key, file.verdict, file.kind, file.rows) for file in result.decided] == [
        (key, "admitted", "new", 20) for key in keys
    ]
    assert step(pipeline).outcome == "nothing-new"  # twelve messages are no micro-batch yet
    broker.send(topic, second[12:])
    last = step(pipeline)
    assert (last.trained, last.decided[0].key, last.reads) == (1, "offsets-20-39-partition-0.jsonl", 1)

    files = tmp_path / "files"
    (files / "in").mkdir(parents=True)
    for name, values in (("a", first), ("b", third), ("c", [pretty.replace(b"\n", b""), *second[1:]])):
        (files / f"in/{name}.jsonl").write_bytes(b"\n".join(values))
    assert step(pipeline_of(files, f"{files}/in", ", ready: {age: 0s}")).commit == last.commit


def test_messages_that_are_no_rows_are_in_quarantine_and_the_stream_continues(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    pipeline = of_topic(tmp_path, broker, topic)
    none: list[bytes | None] = [None]  # removes a key from a compacted topic: no row
    broker.send(topic, none * 20, 1)
    broker.send(topic, [*rows(19), *none, *rows(19, seed=1), b"not json", *rows(20, seed=2)])
    result = step(pipeline)
    assert [(file.verdict, file.rows) for file in result.decided] == [
        ("admitted", 19),
        ("skipped", None),
        ("quarantined", None),
        ("admitted", 20),
    ]
    assert result.trained == 2 and "offsets-20-39-partition-0.jsonl" in result.quarantined[0].reason


def test_labels_of_messages_come_later_as_files(broker: Broker, topic: str, tmp_path: Path) -> None:
    more = f", id: click, mature: 7d, labels: {tmp_path}/outcomes"
    pipeline = of_topic(tmp_path, broker, topic, more)
    known = [json.loads(row) for row in rows(40)]
    labels = [one.pop("label") for one in known]
    broker.send(topic, [json.dumps({**one, "click": i}).encode() for i, one in enumerate(known)])
    (tmp_path / "outcomes").mkdir()
    file = tmp_path / "outcomes/today.csv"
    file.write_text("click,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels[:25])))
    arrivals.aged(file, 500)
    first = step(pipeline)
    assert (first.trained, first.experiences, first.waiting) == (1, 1, 1)
    assert step(pipeline).trained == 0
    file.write_text("click,label\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels)))
    arrivals.aged(file, 400)
    assert step(pipeline).trained == 1


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.tuples(st.integers(0, 1), st.integers(1, 30)), st.sampled_from([7, 13, -13])),
        min_size=1,
        max_size=8,
    )
)
def test_each_message_is_admitted_once_whenever_steps_are_taken(
    quick: Broker, tmp_path: Path, turns: list[tuple[int, int] | int]
) -> None:
    """A turn is either a delivery to a partition, or a step with micro-batches of so many messages; where the number is
    negative, a micro-batch waits for no more than there are."""
    topic = f"turns-{uuid.uuid4().hex[:8]}"
    sent: dict[int, int] = {0: 0, 1: 0}
    known: dict[str, bytes] = {}
    quick.send(topic, [None], 3)  # a topic that nobody ever wrote to is not there
    for turn in [*turns, 7]:
        if isinstance(turn, tuple):
            partition, count = turn
            quick.send(topic, [b"%d" % (sent[partition] + i) for i in range(count)], partition)
            sent[partition] += count
            continue
        files = KafkaTopic(quick.address, topic, abs(turn), linger=0 if turn < 0 else None)
        found = files.listing(known).files
        assert known.keys() <= {one.key for one in found}
        for one in found:
            data = files.read(one)
            assert data is not None and known.setdefault(one.key, data) == data
    for partition, count in sent.items():
        mine = [key for key in known if key.endswith(f"partition-{partition}.jsonl")]
        mine.sort(key=lambda key: int(key.split("-")[1]))
        read = [int(line) for key in mine for line in known[key].split()]
        assert read == list(range(len(read))) and 0 <= count - len(read) < 7


def test_a_step_killed_at_any_write_resumes_to_the_same(
    quick: Broker, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission_log, "utc_now", lambda: "2026-01-01T00:00:00.000Z")
    quick.send(topic, rows(20))
    quick.send(topic, rows(20, seed=1, classes=(2, 3)), partition=1)

    def attempt(name: str, killed_at: int) -> KillableStore:
        pipeline = of_topic(tmp_path / name, quick, topic)
        store = KillableStore(FolderStore(tmp_path / name / "store"), killed_at)
        with monkeypatch.context() as patch:
            for module in (run_step, admitted_stream, arrivals):
                patch.setattr(module, "open_store", lambda uri: store)
            with suppress(Killed):
                step(pipeline)
        step(pipeline)
        return store

    whole = attempt("whole", 0)
    expected = contents(of_topic(tmp_path / "whole", quick, topic))
    for killed_at in range(1, whole.writes + 1, 5):
        assert attempt(f"killed-{killed_at}", killed_at).killed
        assert contents(of_topic(tmp_path / f"killed-{killed_at}", quick, topic)) == expected


def test_a_micro_batch_waits_no_longer_than_said(quick: Broker, topic: str, tmp_path: Path) -> None:
    patient, hasty = (of_topic(tmp_path, quick, topic, f", linger: {linger}") for linger in ("1h", "0.001s"))
    quick.send(topic, rows(25))
    assert [file.rows for file in step(patient).decided] == [20]
    time.sleep(0.01)
    # All that are there by then; the next begins behind them.
    assert [file.key for file in step(hasty).decided] == ["offsets-20-24-partition-0.jsonl"]
    quick.send(topic, rows(24, seed=1))
    assert [file.key for file in step(patient).decided] == ["offsets-25-44-partition-0.jsonl"]
    assert step(patient).outcome == "nothing-new" and step(hasty).experiences == 4


def test_a_topic_that_was_created_again_is_refused(broker: Broker, topic: str, tmp_path: Path) -> None:
    pipeline = of_topic(tmp_path, broker, topic)
    broker.send(topic, rows(20))
    last = step(pipeline).commit
    other = of_topic(tmp_path, broker, f"{topic}-again")
    broker.send(f"{topic}-again", rows(3))
    with pytest.raises(
        StorageError, match=r"ends at offset 3, but offsets up to 19 were admitted: the topic was created again"
    ):
        step(other)
    assert step(pipeline).commit == last


@pytest.mark.slow
def test_what_retention_removed_is_said_and_what_is_left_is_learned(
    real: tuple[Broker, Path], topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, file = real
    monkeypatch.setenv(kafka_topic.SETTINGS, str(file))
    pipeline, said = of_topic(tmp_path, broker, topic), []
    broker.send(topic, rows(20))
    step(pipeline)
    broker.send(topic, rows(60 + RETAINED_BYTES // 100, seed=1))
    files = open_source(f"kafka://{broker.address}/{topic}", messages=20)
    until = time.monotonic() + 30
    while not files.listing(["offsets-0-19-partition-0.jsonl"]).warnings and time.monotonic() < until:
        time.sleep(0.2)
    result = run_step.run_step(pipeline, train=train_here, on_warning=said.append)
    assert "offsets 20 to" in said[0] and "were removed by the topic's retention before they were admitted" in said[0]
    assert result.trained >= 1 and all(file.verdict == "admitted" for file in result.decided)


def test_a_broker_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topic, "_WAIT_S", 0.2)
    said = (
        r"kafka://127\.0\.0\.1:9/clicks: cannot be read: no broker at 127\.0\.0\.1:9 answered within 0\.2 s\.\nCorrect"
    )
    with pytest.raises(StorageError, match=said):
        KafkaTopic("127.0.0.1:9", "clicks", 20).listing()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("security.protocol", r"line 1 is not `name=value`"),
        ("#\ngroup.id=mine", r"line 2: group\.id is set by Everlearn"),
        ("no.such=1", r'No such configuration property: "no\.such"\.\nCorrect the file that EVERLEARN_KAFKA_CONFIG'),
    ],
)
def test_faulty_settings_of_the_client(text: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "client").write_text(text)
    monkeypatch.setenv(kafka_topic.SETTINGS, str(tmp_path / "client"))
    with pytest.raises(StorageError, match=error):
        KafkaTopic("127.0.0.1:9", "clicks", 20).listing()
    monkeypatch.setenv(kafka_topic.SETTINGS, str(tmp_path / "none"))
    with pytest.raises(StorageError, match=r"none: cannot be read: No such file"):
        client_settings()


def test_a_pipeline_that_learned_from_files_has_no_offsets() -> None:
    with pytest.raises(StorageError, match=r"a\.csv: is a file, but stream\.source\.path is a Kafka topic"):
        KafkaTopic("127.0.0.1:9", "clicks", 20).listing(["a.csv"])
