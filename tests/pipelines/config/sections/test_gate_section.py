"""The `gate` section."""

import pytest
import yaml

from orchestrator.lineage.plan import make_plan
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.gate_section import GateSpec
from pipelines.data.streams import build_stream

BARE = "name: small\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n"
TEXT = (
    BARE
    + """\
gate:
  score: {margin: 0.02, confidence: 0.9}
  forgetting: {max: 0.1}
  negative_flips: 0.05
  calibration: 0.03
  holdout: {samples: 500}
  recent: {margin: 0.1}
  slices: {by: [class, country], minimum: 20, margin: 0.2}
  latency: 1.5
  size: 2
  promote: automatic
  undecided: refuse
  notify: [{url_from: SLACK_URL, secret_from: HOOK_KEY, events: [promotion]}, {url: "https://example.com/hook"}]
"""
)


def test_it_is_written_and_read_back() -> None:
    pipeline = load_text(TEXT)
    assert pipeline.gate is not None and pipeline.gate.score.margin == 0.02 and pipeline.gate.size == 2
    assert load_text(yaml.safe_dump(pipeline.to_document())) == pipeline
    assert load_text(BARE).gate is None
    assert load_text(BARE + "gate: {forgetting: null}\n").gate == GateSpec(forgetting=None)


def test_it_changes_no_commit_id_and_is_no_parameter_of_a_run() -> None:
    bare, gated = load_text(BARE), load_text(TEXT)
    stream = build_stream(bare.stream, 0)
    assert [p.id for p in make_plan(bare, stream)] == [p.id for p in make_plan(gated, stream)]
    assert bare.flat() == gated.flat()


def test_only_conditions_decide_whether_two_gates_judge_alike() -> None:
    gate = load_text(TEXT).gate
    assert gate is not None
    assert gate.conditions() == gate.model_copy(update={"promote": "propose", "notify": []}).conditions()
    assert gate.conditions() != gate.model_copy(update={"size": 3.0}).conditions()
    # Verdicts of before there was a choice stand.
    assert gate.conditions()["score"] == {"margin": 0.02, "confidence": 0.9}
    held = gate.model_copy(update={"score": gate.score.model_copy(update={"on": "holdout"})})
    assert held.conditions() != gate.conditions()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("score: {margin: 0}", "gate.score.margin"),
        ("score: {confidence: 0.4}", "gate.score.confidence"),
        ("score: {on: holdout}", "gate.score.on: there is no holdout: add gate.holdout"),
        ("promote: always", "gate.promote"),
        ("slices: {by: []}", "gate.slices.by"),
        ("capabilities: base", "gate.capabilities: needs a section capabilities, which lists the items"),
        ("notify: [{events: [promotion]}]", "give either url or url_from"),
        ("notify: [{url: 'https://a.example', url_from: B}]", "give either url or url_from"),
        ("notify: [{url: 'ftp://a.example'}]", "must be an address such as"),
        ("notify: [{url: 'https://me:x@a.example'}]", "must not hold a password"),
        ("notify: [{url_from: 'https://a.example'}]", "must be the name of an environment variable"),
    ],
)
def test_refused(line: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        load_text(f"{BARE}gate:\n  {line}\n")
    assert message in str(caught.value)
    assert ":5" in str(caught.value)
