"""The `cluster` section."""

import pytest
import yaml

from orchestrator.lineage.plan import make_plan
from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError
from pipelines.config.sections.cluster_section import checked_address
from pipelines.data.streams import build_stream

TEXT = """\
name: small
stream: {dataset: digits, experiences: 2}
model: mlp
cluster:
  address: head:8265
  ca: authority.pem
  working_dir: .
  dependencies: [scipy]
  env: [AWS_PROFILE]
"""


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("head:8265", "http://head:8265"),
        ("http://127.0.0.1:8265/", "http://127.0.0.1:8265"),
        ("https://ray.example.org/a", "https://ray.example.org/a"),
        ("http://[::1]:8265", "http://[::1]:8265"),
    ],
)
def test_addresses(written: str, full: str) -> None:
    assert checked_address(written) == full


@pytest.mark.parametrize(
    "wrong", ["ray://head:10001", "http://head:port", "http://", "http://head:0", "https://me:x@head"]
)
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(ValueError, match="must"):
        checked_address(wrong)


def test_it_is_read_and_written_back() -> None:
    pipeline = load_text(TEXT)
    assert pipeline.cluster is not None and pipeline.cluster.address == "http://head:8265"
    assert load_text(yaml.safe_dump(pipeline.to_document())) == pipeline


def test_it_changes_neither_commits_nor_parameters() -> None:
    inside, outside = load_text(TEXT), load_text(TEXT[: TEXT.index("cluster:")])
    stream = build_stream(inside.stream, inside.seed)
    assert make_plan(inside, stream) == make_plan(outside, stream)
    assert inside.flat() == outside.flat()


def test_everything_wrong_is_said_with_its_line_and_without_the_secret() -> None:
    text = TEXT.replace("head:8265", "https://me:hunter2@head").replace("[AWS_PROFILE]", '["KEY=hunter2"]')
    with pytest.raises(PipelineError) as refused:
        load_text(text.replace("  ca:", "  token: hunter2\n  ca:"), "f.yaml")
    places = [problem.split(": ")[:2] for problem in refused.value.problems]
    assert places == [["f.yaml:5", "cluster.address"], ["f.yaml:6", "cluster.token"], ["f.yaml:10", "cluster.env.0"]]
    assert "hunter2@" not in str(refused.value)
