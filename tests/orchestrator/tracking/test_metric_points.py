"""Points: which value of a chain of commits becomes which metric, step and time."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.lineage.accuracy_matrix import accuracy_matrix
from orchestrator.lineage.commit import Commit
from orchestrator.tracking.metric_points import (
    LOSS,
    child_points,
    label,
    loss_points,
    milliseconds,
    parent_points,
    start_milliseconds,
)
from strategies.metrics import as_matrix, metric_names, summary
from tests.orchestrator.tracking.chains import BEGIN, TESTED, correct, make_chain


def test_accuracy_of_every_test_set_after_every_experience() -> None:
    found = {(p.key, p.step): p.value for p in parent_points(make_chain(), 5)}
    for i in range(5):
        for j in range(5):
            assert found[f"accuracy/experience_{j:02d}", i] == correct(i, j) / TESTED


def test_metrics_after_each_experience_and_bars_at_the_end() -> None:
    chain = make_chain()
    R, b = accuracy_matrix(chain)
    found = {(p.key, p.step): p.value for p in parent_points(chain, 5)}
    for k in range(5):
        for name, value in summary(as_matrix(R), [x or 0.0 for x in b], k).items():
            assert found.get((name, k)) == (None if value is None else pytest.approx(value, abs=1e-12))
    for name in (*metric_names("matrix"), "negative_flips", "model_bytes"):
        assert found[f"final/{name}", 0] == found[name, 4]


def test_what_was_counted_beyond_the_matrix_has_a_history() -> None:
    found = {(p.key, p.step): p.value for p in parent_points(make_chain(), 5, 0, [1.0, 1.0, None, 1.0, 1.0])}
    assert [found.get(("negative_flips", k)) for k in range(5)] == [None, *[4 / TESTED] * 4]
    assert [found["memory_bytes", k] for k in range(5)] == [0, 1000, 2000, 3000, 4000]
    assert [found["training_seconds", k] for k in range(5)] == [21.0, 22.0, 23.0, 24.0, 25.0]
    assert found["expected_calibration_error", 4] == found["final/expected_calibration_error", 0] == 0.05
    assert [found["class_accuracy/09", 4], found["class_accuracy/00", 0]] == [0.91, 1.0]
    # Joint training is known as far as experience 1.
    assert found["intransigence", 1] == pytest.approx(1 - (correct(0, 0) + correct(1, 1)) / 2 / TESTED)
    assert ("intransigence", 2) not in found


def test_capabilities_have_a_history_and_their_verdicts_as_numbers() -> None:
    asked = {
        "name": "facts", "kind": "multiple-choice", "data": "0" * 64, "items": 8, "answers": "AA==", "base": 0.75,
        "value": 0.5, "lost": 3, "won": 1, "margin": 0.05, "p_lost": 0.3, "p_kept": 0.6, "verdict": "lost",
    }  # fmt: skip
    chain = [_again(commit, capabilities=[asked]) for commit in make_chain(2)]
    found = {(p.key, p.step): p.value for p in parent_points(chain, 5) if p.key.startswith("capability")}
    assert found == {
        ("capability_before/facts", 0): 0.75,
        **{("capability/facts", step): 0.5 for step in (0, 1)},
        **{("capability_verdict/facts", step): -1 for step in (0, 1)},
    }


def test_classes_sort_as_they_count() -> None:
    commit = make_chain(1)[0]
    wide = _again(commit, spec={"outputs": 101})
    assert {p.key for p in parent_points([wide], 5) if "class" in p.key} == {"class_accuracy/000", "class_accuracy/001"}
    assert not [p for p in parent_points([_again(commit, spec={"outputs": 1000})], 5) if "class" in p.key]


def test_classes_are_called_by_their_names_where_mlflow_can_tell_them_apart() -> None:
    commit = _again(make_chain(1)[0], spec={"outputs": 3})

    def called(*names: str) -> set[str]:
        found = parent_points([commit], 5, class_names=names)
        return {point.key.removeprefix("class_accuracy/") for point in found if "class_" in point.key}

    assert called("cat", "dog", "emu/2") == {"cat", "dog"}
    assert called("Ä", "Ö", "x") == called("a", "A", "x") == called("3", "7", "10") == {"00", "01"}
    assert called("..", "dog", "emu") == called("cat", "dog") == {"00", "01"}


def test_no_bars_before_the_end() -> None:
    assert not [p for p in parent_points(make_chain(3, tests=5), 5) if p.key.startswith("final/")]


def test_points_are_a_function_of_the_commits_and_dated_by_them() -> None:
    chain = make_chain()
    assert list(parent_points(chain, 5)) == list(parent_points(make_chain(), 5))
    created = {i: milliseconds(commit) for i, commit in enumerate(chain)}
    assert created[0] == int((BEGIN.timestamp() + 25) * 1000)
    assert all(p.time == created[p.step] for p in parent_points(chain, 5) if not p.key.startswith("final/"))


@pytest.mark.parametrize("first", range(5))
def test_later_points_alone_are_the_end_of_all_points(first: int) -> None:
    chain = make_chain()
    late = [p for p in parent_points(chain, 5) if p.step >= first or p.key.startswith("final/")]
    assert sorted(parent_points(chain, 5, first)) == sorted(late)


@pytest.mark.parametrize("length", range(1, 5))
def test_a_longer_chain_repeats_the_points_of_a_shorter_one(length: int) -> None:
    chain = make_chain()
    assert set(parent_points(chain[:length], 5)) <= set(parent_points(chain, 5))
    assert set(loss_points(chain[:length])) <= set(loss_points(chain))


def test_losses_count_the_optimiser_steps_of_the_whole_stream() -> None:
    chain = make_chain(3, points=4)
    found = list(loss_points(chain))
    assert {p.key for p in found} == {LOSS}
    assert [p.step for p in found] == list(range(5, 65, 5))
    assert [(p.value, p.time) for p in found] == [(loss, time) for commit in chain for _, loss, time in commit.losses]
    assert list(loss_points(chain, 2)) == found[8:]


def test_a_child_is_followed_from_when_it_was_learned() -> None:
    found = child_points(make_chain())
    assert sorted(found) == [0, 1, 2, 3, 4]
    for j, points in found.items():
        curve = [(p.step, p.value) for p in points if p.key == "eval/accuracy"]
        assert curve == [(i, correct(i, j) / TESTED) for i in range(j, 5)]
        assert len([p for p in points if p.key == "train/loss"]) == 20


def test_what_was_measured_later_completes_an_earlier_row() -> None:
    """An experience that comes into a stream later is tested with the model before it."""
    chain = make_chain(2, tests=2)
    document = chain[1].document()
    missing = [count for count in chain[0].document()["row"] if count["experience"] == 1]
    first = _again(chain[0], row=[count for count in chain[0].document()["row"] if count["experience"] == 0])
    second = _again(chain[1], parent=first.id, previous=missing, row=document["row"])
    before = {p.key: p.value for p in parent_points([first], 2) if p.step == 0}
    after = {p.key: p.value for p in parent_points([first, second], 2) if p.step == 0}
    assert "accuracy/experience_01" not in before
    assert after["accuracy/experience_01"] == correct(0, 1) / TESTED


def test_labels_sort_as_they_count() -> None:
    assert label(3, 5) == "experience_03"
    assert label(99, 100) == "experience_99"
    assert label(3, 101) == "experience_003"
    assert sorted(label(j, 150) for j in range(150)) == [label(j, 150) for j in range(150)]


def test_a_run_begins_with_its_first_loss() -> None:
    chain = make_chain()
    assert start_milliseconds(chain) == int(BEGIN.timestamp() * 1000)
    assert start_milliseconds(make_chain(1, points=0)) == milliseconds(chain[0])


def _again(commit: Commit, **changed: Any) -> Commit:
    fields = {key: value for key, value in commit.document().items() if key not in ("id", "format", "checksum")}
    return Commit.create(**{**fields, **changed})
