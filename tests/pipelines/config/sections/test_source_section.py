import sys
from typing import Any

import pytest
import yaml

from pipelines.config.components import resolve
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.source_section import SUFFIXES, SourceSpec, dataset_of, seconds_of

FILE = """
name: x
stream:
  source: {{path: incoming, format: csv, {more}}}
  setting: domain-incremental
model: mlp
"""


def source(more: str = "label: y") -> SourceSpec:
    found = load_text(FILE.format(more=more)).stream.source
    assert found is not None
    return found


def test_a_source_is_written_as_people_write_it() -> None:
    pipeline = load_text(FILE.format(more="label: y, id: key, on: {schema: skip}, ready: {marker: _SUCCESS}"))
    found = pipeline.stream.source
    assert found is not None
    assert (found.on.schema_, found.on.late, found.on.overwritten) == ("skip", "admit", "quarantine")
    assert (found.ready.marker, found.batch.files, found.max_quarantined) == ("_SUCCESS", 1, 3)
    assert pipeline.stream.dataset.to_document() == {"name": "csv", "path": "incoming", "label": "y", "id": "key"}
    assert load_text(yaml.safe_dump(pipeline.to_document())) == pipeline


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            "batch: {files: 1, rows: 2}",
            "<text>:4: stream.source.batch: must be {files: 1}, {rows: 1000} or {every: 1d}",
        ),
        ("batch: {every: 0s}", "<text>:4: stream.source.batch.every: must be longer than 0, got '0s'"),
        ("ready: {}", "<text>:4: stream.source.ready: must be {age: 2m} or {marker: _SUCCESS}"),
        ("ready: {age: 3}", "stream.source.ready.age: must be a duration such as 30s, 2m, 12h or 1d, got 3"),
        ("ready: {marker: a/b}", "stream.source.ready.marker: must be a file's name such as _SUCCESS"),
        ("on: {schema: admit}", "stream.source.on.schema: must be one of skip, quarantine, got 'admit'"),
        ("lable: y", "stream.source.lable: unknown key, did you mean 'label'?"),
        ("max_quarantined: -1", "stream.source.max_quarantined: must be at least 0, got -1"),
        ("classes: 0", "stream.source.classes: must be at least 1, got 0"),
        ("mature: 7", "stream.source.mature: must be a duration such as 30s, 2m, 12h or 1d, got 7"),
        ("mature: 7d, id: key, classes: 2", "stream.source.mature: needs `labels`, the folder or s3:// prefix"),
        ("mature: 7d, labels: out, classes: 2", "stream.source.mature: needs `id`, the column by which labels are"),
        ("mature: 7d, labels: out, id: key", "stream.source.mature: needs `classes`, how many or which labels"),
        ("labels: out", "stream.source.labels: labels that come later need `mature`, such as 7d"),
        ("mature: 7d, labels: incoming/, id: key, classes: 2", "stream.source.labels: lies in the folder of the"),
        ("mature: 7d, labels: ./x/../incoming, id: key, classes: 2", "stream.source.labels: lies in the folder of the"),
        ("mature: 7d, labels: incoming/out, id: key, classes: 2", "stream.source.labels: lies in the folder of the"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_once(more: str, said: str) -> None:
    with pytest.raises(PipelineError) as refused:
        load_text(FILE.format(more=more))
    assert any(said in problem for problem in refused.value.problems), refused.value.problems
    assert not any("stream.dataset" in problem for problem in refused.value.problems)


def test_a_topic_is_a_source_of_json_objects() -> None:
    text = FILE.replace("incoming, format: csv, {more}", "'kafka://a:9092,b:9092/clicks', format: jsonl, messages: 50")
    pipeline = load_text(text.replace("{{", "{").replace("}}", "}"))
    found = pipeline.stream.source
    assert found is not None and found.is_topic and found.messages == 50
    assert load_text(yaml.safe_dump(pipeline.to_document())) == pipeline


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"path": "kafka://a/clicks"}, "path: must be kafka://host:port/topic"),
        ({"path": "kafka://user:secret@a:1/clicks"}, "path: must be kafka://host:port/topic"),
        ({"format": "csv"}, "format: must be jsonl: each message of a Kafka topic is a JSON object"),
        ({"ready": {"age": "5m"}}, "ready: is of files: messages that are in a Kafka topic are complete"),
        ({"batch": {"every": "1d"}}, "batch: every: is of files: a Kafka topic has {files: N}, of `messages` each"),
        ({"path": "incoming"}, "messages: is of Kafka topics, and incoming is none: leave it out"),
        ({"path": "incoming", "linger": "5m"}, "linger: is of Kafka topics, and incoming is none: leave it out"),
        ({"linger": "0s"}, "linger: must be longer than 0"),
    ],
)
def test_what_a_topic_does_not_have_is_refused(given: dict[str, Any], said: str) -> None:
    source = {"path": "kafka://a:9092/clicks", "format": "jsonl", "messages": 5, **given}
    document = {"name": "x", "stream": {"source": source, "setting": "domain-incremental"}, "model": "mlp"}
    with pytest.raises(PipelineError) as refused:
        load_text(yaml.safe_dump(document))
    assert any(f"stream.source.{said}" in problem for problem in refused.value.problems), refused.value.problems


def test_labels_may_come_later() -> None:
    found = source("id: key, classes: 2, mature: 7d, labels: incoming/_labels")
    assert (found.mature, found.labels, found.on.contradiction) == ("7d", "incoming/_labels", "quarantine")
    assert dataset_of(found.to_document()).keys() == {"name", "path", "id", "classes"}


def test_what_contradicts_a_source_is_refused() -> None:
    text = FILE.format(more="label: y").replace("  setting", "  dataset: {name: csv, path: other}\n  setting")
    with pytest.raises(PipelineError, match=r"stream\.dataset: must be left out: stream\.source says where"):
        load_text(text)
    for key, value in (("order", "shuffled"), ("lanes", "4"), ("experiences", "3")):
        text = FILE.format(more="label: y").replace("  setting", f"  {key}: {value}\n  setting")
        with pytest.raises(PipelineError, match=rf"stream\.{key}: must be left out: with a source"):
            load_text(text)
    with pytest.raises(PipelineError, match="has no meaning in npz files"):
        load_text(FILE.format(more="delimiter: ';'").replace("csv", "npz"))
    for more, kind in (("label: y", "image-folder"), ("image: photo", "parquet")):
        with pytest.raises(PipelineError, match=r"source\.(format|image): image files are not admitted .* npz files"):
            load_text(FILE.format(more=more).replace("csv", kind))
    with pytest.raises(PipelineError, match=r"source\.features: files that arrive have columns of numbers: write"):
        load_text(FILE.format(more="features: auto"))


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("2m", 120), ("1.5h", 5400), ("1d", 86400)])
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_other_texts_are_no_durations() -> None:
    for text in ("", "2", "m", "2 m", "-1s", "1w", "1e3s"):
        with pytest.raises(ValueError, match="duration"):
            seconds_of(text)


def test_the_dataset_of_a_source_reads_the_same_files() -> None:
    assert dataset_of(source("delimiter: ';', classes: [a, b]").to_document()) == {
        "name": "csv",
        "path": "incoming",
        "delimiter": ";",
        "classes": ["a", "b"],
    }


def test_the_endings_are_those_of_the_datasets() -> None:
    for name, endings in SUFFIXES.items():
        assert sys.modules[resolve("datasets", name).__module__].INIT_FORMAT.suffixes == endings
