"""What a commit records of capabilities: answers that can be paired later, and verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.lineage.capability_record import AnswersRecord, change, judged
from pipelines.capabilities.capability_items import CapabilitySet, ClassItem
from tests.orchestrator.lineage.chains import make_commit


def answers(values: np.ndarray, kind: str = "classification", name: str = "facts", data: str = "0") -> AnswersRecord:
    asked = CapabilitySet.__new__(CapabilitySet)
    for key, value in {"name": name, "kind": kind, "data": data * 64, "items": (ClassItem,) * len(values)}.items():
        object.__setattr__(asked, key, value)
    return AnswersRecord.of(asked, values)


def bits(right: list[int], items: int = 240) -> np.ndarray:
    return np.isin(np.arange(items), right).astype(float)[:, None]


def test_answers_are_read_as_they_were_written() -> None:
    marks, likelihoods = bits([0, 3, 11], 13), np.array([[-3.25, 4.0], [-1e-17, 2.0]])
    assert np.array_equal(answers(marks).unpacked(), marks)
    assert np.array_equal(answers(likelihoods, "perplexity").unpacked(), likelihoods)
    whole = answers(marks)
    for damaged in ("", "!", whole.answers[:-4]):
        with pytest.raises(ValueError, match="capability facts: answers"):
            whole.model_copy(update={"answers": damaged}).unpacked()


def test_a_commit_is_written_and_read_back_and_says_its_format() -> None:
    before = answers(bits(list(range(200))))
    (record,) = judged([before], [answers(bits(list(range(150))))], {"facts": 0.05})
    assert (record.verdict, record.lost, record.won, record.base) == ("lost", 50, 0, pytest.approx(200 / 240))
    commit = make_commit(0, None, {}, capabilities=[record], capabilities_before=[before])
    assert type(commit).parse(commit.to_json(), expected=commit.id) == commit
    plain = make_commit(0, None, {})
    assert (commit.format, plain.format, commit.id) == (3, 1, plain.id)
    assert b"capabilities" not in plain.to_json()


def test_answers_to_other_items_are_not_paired() -> None:
    with pytest.raises(ValueError, match="other items"):
        change(answers(bits([1])), answers(bits([1]), data="1"), 0.05)
    texts = np.array([[-3.0, 1.0]] * 9)
    (record,) = judged([answers(texts, "perplexity")], [answers(texts * [2, 1], "perplexity")], {"facts": 0.05})
    assert (record.verdict, record.lost, record.base, record.value) == ("lost", None, -3, -6)
