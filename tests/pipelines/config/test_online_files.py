"""What a pipeline file of an online stream can say, and what it cannot."""

import pytest

from pipelines.config.load import load_text
from pipelines.config.pipeline_errors import PipelineError

ONLINE = """\
name: online
stream:
  dataset: digits
  experiences: 5
  online: true
model: mlp
strategy:
  - {name: ewc, mode: online, every: 50}
  - {name: replay, capacity: 100}
train:
  epochs: 1
  batch_size: 10
  per_experience:
    3: {optimizer: {lr: 0.0001}, strategy: {replay: {ratio: 0.3}}}
"""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("epochs: 1", "epochs: 2", "11: train.epochs: must be 1, got 2: an online stream shows each sample once"),
        ("epochs: 1", "steps: 9", "11: train.steps: an online stream shows each sample once: leave it out"),
        ("3: {", "3: {epochs: 3, ", "14: train.per_experience.3.epochs: must be 1, got 3"),
        ("3: {", "3: {steps: 3, ", "14: train.per_experience.3.steps: an online stream shows"),
        ("{name: replay, capacity: 100}", "gdumb", "9: strategy.1: gdumb chooses what to train on"),
        (
            "capacity: 100",
            "weighting: experiences",
            "9: strategy.1: replay with weighting: experiences counts experiences",
        ),
        (
            "ratio: 0.3",
            "weighting: experiences",
            "14: train.per_experience.3.strategy.replay: replay with weighting: experiences",
        ),
        ("mode: online, every: 50", "every: 50", "8: strategy.0.every: is for mode: online"),
        ("every: 50", "every: 0", "8: strategy.0.every: must be at least 1, got 0"),
        ("online: true", "online: 1", "5: stream.online: must be true or false, got 1"),
        ("experiences: 5", "setting: task-incremental\n  blurry: 0.1", "5: stream.blurry: cannot be with task labels"),
    ],
)
def test_what_an_online_stream_cannot_do_is_said_with_its_line(before: str, after: str, expected: str) -> None:
    pipeline = load_text(ONLINE)
    assert pipeline.stream.online and pipeline.strategy_at(3)[1].extras["ratio"] == 0.3
    assert before in ONLINE
    with pytest.raises(PipelineError) as error:
        load_text(ONLINE.replace(before, after, 1), "x.yaml")
    assert any(problem.startswith(f"x.yaml:{expected}") for problem in error.value.problems)


def test_what_an_online_stream_cannot_do_others_can() -> None:
    text = ONLINE.replace("online: true", "online: false").replace("epochs: 1", "epochs: 2")
    load_text(text.replace("{name: replay, capacity: 100}", "{name: replay, weighting: experiences}"))
