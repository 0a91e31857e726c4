"""The `capabilities` section."""

from __future__ import annotations

import pytest
import yaml

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.capability_section import CapabilitySpec

CLASSES = "name: small\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n"
ONE = "{name: facts, data: facts.jsonl, kind: classification}"


def test_it_is_written_and_read_back_and_is_no_parameter_of_the_run() -> None:
    pipeline = load_text(f"{CLASSES}capabilities: [{ONE}]\n")
    assert pipeline.capabilities == [
        CapabilitySpec(name="facts", data="facts.jsonl", kind="classification", margin=0.05)
    ]
    assert load_text(yaml.safe_dump(pipeline.to_document())) == pipeline
    assert pipeline.flat() == load_text(CLASSES).flat()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{CLASSES}capabilities: [{ONE}, {ONE}]", "'facts' is listed twice"),
        (f"{CLASSES}capabilities: [{ONE.replace('classification', 'perplexity')}]", "asks a language model"),
        (
            f"{CLASSES}objective: multi-label\ncapabilities: [{ONE}]",
            "capabilities are for classification and next-token, not for multi-label",
        ),
        (f"{CLASSES}capabilities: [{ONE.replace('}', ', margin: 0}')}]", "margin"),
        (f"{CLASSES}capabilities: [{ONE.replace('name: facts', 'name: a/b')}]", "name"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        load_text(text)
