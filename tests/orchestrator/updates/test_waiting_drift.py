from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.cli.step import lines
from orchestrator.updates.admitted_stream import stream_of
from orchestrator.updates.stream_metrics import stream_samples
from orchestrator.updates.waiting_drift import waiting_drift
from tests.orchestrator.cli.commands import documented
from tests.orchestrator.updates.arrivals import contents, deliver, lineage_of, pipeline_of, step
from tests.orchestrator.updates.label_files import bring, delayed, delayed_file, label


def test_what_waits_for_labels_is_compared_with_what_was_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline, file = delayed(tmp_path), str(delayed_file(tmp_path))
    bring(tmp_path, "a", range(600))
    label(tmp_path, "one", range(700))
    step(pipeline)
    bring(tmp_path, "b", range(600, 1000))
    bring(tmp_path, "c", range(1000, 1400), shift=2.0)
    bring(tmp_path, "d", range(1400, 1800))
    admitted = step(pipeline)
    shown = {one.key: one.drift.drift for one in admitted.drift if one.drift is not None}
    assert shown == {"b.npz": False, "c.npz": True, "d.npz": False} and admitted.trained == 0
    assert "  waiting c.npz: drift: its inputs differ by " in "\n".join(lines(admitted, ""))
    assert admitted.reads == 3  # each file once
    (tmp_path / "in/d.npz").unlink()
    before, idle = contents(pipeline), step(pipeline)
    assert (idle.outcome, idle.waiting, idle.unlabelled, idle.reads) == ("nothing-new", 2, 700, 0)
    assert contents(pipeline) == before
    like, other = waiting_drift(pipeline, stream_of(pipeline))
    figures = idle.to_json()["drift"]
    assert [(one["waiting"], one["drift"]) for one in figures] == [("b.npz", False), ("c.npz", True)]
    assert figures[1]["effect"] == pytest.approx(other.tests["ks"].effect, abs=1e-6)
    samples = stream_samples(pipeline, lineage_of(pipeline), idle, 0.0)
    assert samples["drift_effect"] == [({"what": "unlabelled"}, figures[1]["effect"])]
    assert (like.key, like.rows, like.missing, like.drift) == ("b.npz", 400, 300, False)
    assert (other.key, other.rows, other.missing, other.drift) == ("c.npz", 400, 400, True)
    assert list(other.tests) == ["ks"] and other.tests["ks"].effect > 0.5 > 2 * like.tests["ks"].effect
    assert like.accuracy is None

    documents = documented(capsys, 0, "drift", file, "--model", "latest")
    assert [(one["waiting"], one["missing"]) for one in documents] == [("b.npz", 300), ("c.npz", 400)]
    assert 0 < documents[0]["accuracy"]["estimated"] <= 1
    assert invoke(["drift", file]) == 0
    out = capsys.readouterr().out
    assert "\nc.npz, which waits for labels: ks 1.000 (usual up to " in out
    told = " ".join(out.split())
    assert "c.npz, which waits for labels: ks " in told and told.endswith("drift in c.npz, which waits for labels")

    assert invoke(["sources", file]) == 0
    waits = capsys.readouterr().out.partition("Waiting:\n")[2]
    assert "d.npz" not in waits and waits.count("drift: its inputs differ by") == 1
    label(tmp_path, "two", range(700, 1400))
    done = step(pipeline)
    assert (done.trained, done.drift) == (2, ())
    assert stream_samples(pipeline, lineage_of(pipeline), done, 0.0)["drift_effect"] == []


def test_nothing_waits_where_files_have_their_labels(tmp_path: Path) -> None:
    pipeline = pipeline_of(tmp_path)
    deliver(tmp_path, "a", [0, 1])
    step(pipeline)
    assert waiting_drift(pipeline, stream_of(pipeline)) == []
