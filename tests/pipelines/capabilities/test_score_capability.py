"""A model asked the items of a capability: what it answers is what its outputs say."""

from __future__ import annotations

from pathlib import Path

import torch

from pipelines.build import make_learner, make_stream
from pipelines.capabilities.capability_items import CapabilitySet, ClassItem, WritingItem
from pipelines.capabilities.score_capability import score_capability
from pipelines.config.load import load_text
from strategies.loop.learner import Learner
from strategies.loop.process_group import Group
from tests.pipelines.capabilities.test_read_capabilities import CHOICE, LANGUAGE, write
from tests.pipelines.models.pretrained import save_tiny_llama


def test_a_language_model_chooses_writes_and_reads(tmp_path: Path) -> None:
    save_tiny_llama(tmp_path / "base")
    (tmp_path / "stream").mkdir()
    (tmp_path / "stream" / "films.txt").write_text("the film was very good\n" * 10)
    choices = write(tmp_path / "choices.jsonl", [CHOICE, {**CHOICE, "answer": 0}])
    texts = write(tmp_path / "texts.jsonl", [{"text": "a bad day the film was good"}, {"text": "dull"}])
    listed = "".join(
        f"  - {{name: {kind}, kind: {kind}, data: '{data}'}}\n"
        for kind, data in (("multiple-choice", choices), ("perplexity", texts))
    )
    pipeline = load_text(LANGUAGE.format(root=tmp_path) + "capabilities:\n" + listed)
    stream = make_stream(pipeline)
    learner = make_learner(pipeline, stream, Group())
    chosen, read = (score_capability(learner, asked, list(stream), -1) for asked in stream.capabilities)

    def likelihood(tokens: list[int], first: int) -> float:
        with torch.no_grad():
            output = learner.model.eval()(torch.tensor([tokens[:-1]]))[0].log_softmax(0)
        return sum(float(output[token, place - 1]) for place, token in enumerate(tokens) if place >= first)

    good, bad = likelihood([7, 5, 8, 3], 3), likelihood([7, 5, 8, 10, 4], 3)
    assert chosen[:, 0].tolist() == [float(bad > good), float(good >= bad)]
    # Six tokens are read at a time, each part without the one before.
    whole = likelihood([1, 2, 4, 6, 7, 5, 8], 1) + likelihood([8, 3], 1)
    assert read[:, 1].tolist() == [7, 1] and abs(read[0, 0] - whole) < 1e-4
    with torch.no_grad():
        following = int(learner.model(torch.tensor([[7, 5]]))[0, :, -1].argmax())
    words = ["[UNK]", "[END]", "a", "good", "bad", "film", "day", "the", "was", "not", "very", "dull"]
    for answer, right in ((words[following], True), ("never", False)):
        asked = CapabilitySet(
            "w", "generation-exact", 0.05, "0" * 64, (WritingItem((7, 5), answer, 1),), f"{tmp_path}/base", 1
        )
        assert score_capability(learner, asked, list(stream), -1).tolist() == [[float(right)]]


def test_a_classifier_is_asked_with_the_task_of_the_class() -> None:
    text = "name: d\nmodel: {name: mlp, hidden: [4]}\nstream: {dataset: digits, setting: {}, order: [[0, 1], [2, 3]]}\n"
    for setting in ("task-incremental", "class-incremental"):
        pipeline = load_text(text.replace("{}", setting))
        stream = make_stream(pipeline)
        learner: Learner = make_learner(pipeline, stream, Group())
        inputs, targets = stream[1].test.take(torch.arange(30))
        items = tuple(ClassItem(inputs[row : row + 1], int(targets[row])) for row in range(30))
        asked = CapabilitySet("c", "classification", 0.05, "0" * 64, items)
        found = score_capability(learner, asked, list(stream), 0)[:, 0]
        right = learner.assess([stream[1]], seen=2).right[1][:30]
        assert found.tolist() == right.double().tolist()
