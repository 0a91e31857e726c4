"""Metrics of a stream, as a real scrape of `everlearn watch` and the file of `everlearn step` have them.

The parser of prometheus_client is the judge of the format.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.cli.main import invoke
from orchestrator.cli.watch import _endpoint, _metrics_server
from orchestrator.errors import StorageError
from orchestrator.lineage.decisions import newest_first
from orchestrator.updates.stream_metrics import (
    CONTENT_TYPE,
    METRICS,
    PREFIX,
    MetricsServer,
    metrics_text,
    write_metrics,
)
from tests.orchestrator.updates import arrivals
from tests.orchestrator.updates.arrivals import aged, deliver, lineage_of, pipeline_of, step

TEXT = (
    arrivals.FILE.replace("class-incremental", "domain-incremental")
    + "gate: {{score: {{margin: 0.3}}, undecided: promote, promote: automatic}}\n"
    + "update: {{when: {{rows: 1000}}, retune: null, budget: {{worker_hours: 2, per: 1d}}}}\n"
)
Values = dict[tuple[str, ...], float]


def values(text: str) -> Values:
    """By the name without the prefix and the labels beside the pipeline."""
    found: Values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels["pipeline"] == "arriving"
            own = [value for key, value in sorted(sample.labels.items()) if key != "pipeline"]
            found[sample.name.removeprefix(PREFIX), *own] = sample.value
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One experience is trained and is the champion, one waits, one file is torn."""
    folder = tmp_path_factory.mktemp("watched")
    pipeline = pipeline_of(folder, text=TEXT)
    (folder / "p.yaml").write_text(TEXT.format(folder=folder, more=""))
    deliver(folder, "a", [0, 1, 2, 3], rows=100)
    step(pipeline)
    deliver(folder, "b", [0, 1], seed=1, rows=60)
    (folder / "in/torn.npz").write_bytes(b"PK")
    aged(folder / "in/torn.npz", 500)
    step(pipeline)
    return folder


def test_a_scrape_of_watch(watched: Path) -> None:
    command = [sys.executable, "-m", "orchestrator.cli.main", "watch", str(watched / "p.yaml"), "--every", "0.2s"]
    watching = subprocess.Popen([*command, "--metrics", "0"], stderr=subprocess.PIPE, text=True)
    assert watching.stderr is not None
    try:
        address = re.fullmatch(r"metrics at (http://127\.0\.0\.1:\d+/metrics)\n", watching.stderr.readline())
        assert address is not None
        found: Values = {}
        while found.get(("steps_total", "waits"), 0) < 2:
            with urllib.request.urlopen(address[1]) as answer:
                assert answer.headers["Content-Type"] == CONTENT_TYPE
                found = values(answer.read().decode())
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(address[1].replace("metrics", "other"))
    finally:
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(60) == 0
    lineage = lineage_of(pipeline_of(watched, text=TEXT))
    seconds = [one.evidence["worker_seconds"] for one in newest_first(lineage) if one.kind == "training"]
    assert (found["waiting_experiences",], found["waiting_files",], found["experiences",]) == (1, 0, 2)
    assert found["quarantined_files",] == 1
    assert (found["budget_seconds",], found["budget_spent_seconds",]) == (7200, pytest.approx(seconds[0]))
    assert (found["last_verdict", "passed"], found["last_verdict", "refused"], found["failures_total",]) == (1, 0, 0)
    assert found["gate_verdicts", "no"] == 0  # the first model had nothing to be compared with
    assert 0 < found["last_training_seconds",] <= found["champion_since_seconds",] <= found["last_step_seconds",]
    assert {"drift_effect", "steps_total"} & {name for name, *_ in found} == {"steps_total"}  # no drift was asked for


def test_the_file_of_a_step(watched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "everlearn.prom"
    looking = ["step", str(watched / "p.yaml"), "--set", "update.when=drift", "--set", "update.cooldown=9d"]
    assert invoke([*looking, "--metrics-file", str(target), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "waits"
    found = values(target.read_text())
    assert found["drift_effect", "labels"] == pytest.approx(0.5)
    assert 0 < found["drift_effect", "inputs"] <= 1 and 0 <= found["error_share", "now"] <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["everlearn.prom"]
    with pytest.raises(StorageError, match="cannot write the metrics"):
        write_metrics(tmp_path / "no/x.prom", "")
    assert invoke([*looking, "--metrics-file", str(tmp_path / "no/x.prom")]) == 3


def test_labels_are_escaped_and_counts_add_up() -> None:
    name = 'a "b"\\\n'
    (family,) = text_string_to_metric_families(metrics_text({"experiences": [({}, 2)]}, {"pipeline": name}))
    assert family.samples[0].labels == {"pipeline": name} and family.documentation == METRICS["experiences"][1]
    server = MetricsServer("127.0.0.1", 0, {"pipeline": "arriving"})
    try:
        server.stepped("trained", {"experiences": [({}, 1)]})
        server.stepped("busy", {})
        server.failed()
        found = values(server.text())
        assert found == {
            ("experiences",): 1, ("failures_total",): 1, ("steps_total", "busy"): 1, ("steps_total", "trained"): 1
        }  # fmt: skip
        with pytest.raises(OSError, match="in use"):
            MetricsServer("127.0.0.1", int(server.address.rpartition(":")[2]), {})
    finally:
        server.close()


def test_an_address_of_ipv6() -> None:
    server = MetricsServer(*_endpoint("[::1]:0"), {})
    try:
        assert server.address.startswith("[::1]:")
        with urllib.request.urlopen(f"http://{server.address}/metrics") as answer:
            assert answer.status == 200
        host = _endpoint(server.address)
        assert host == ("::1", int(server.address.rpartition(":")[2]))
        with pytest.raises(click.UsageError, match=rf"--metrics \[::1\]:{host[1]}: cannot be used: Address already"):
            _metrics_server(host, "p")
    finally:
        server.close()


def test_an_address_that_is_none_is_refused(watched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["watch", str(watched / "p.yaml"), "--metrics", "here"]) == 2
    assert "must be a port such as 9464" in capsys.readouterr().err
