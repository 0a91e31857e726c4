"""Blurry streams: who gives what to whom."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.config.sections.stream_section import StreamSpec
from pipelines.data.blurry_streams import assignment, leaving
from pipelines.data.streams import Stream, build_stream
from pipelines.data.validation_split import hold_out
from strategies.api.data import Experience

shares = st.floats(0.0, 0.95)
sizes = st.lists(st.integers(0, 80), min_size=2, max_size=6)


def stream(blurry: float, seed: int = 0, **settings: object) -> Stream:
    dataset = {"name": "tests.pipelines.own_datasets:arrays", "count": 150, "classes": 10}
    spec = {"dataset": dataset, "experiences": 5, "order": "shuffled", "blurry": blurry, **settings}
    return build_stream(StreamSpec.model_validate(spec), seed)


def ids(experience: Experience) -> set[int]:
    found = set(experience.train.ids.tolist())
    assert len(found) == len(experience.train)
    return found


@given(sizes, shares)
def test_no_experience_gives_more_than_the_others_can_take(counts: list[int], share: float) -> None:
    found = leaving(counts, share)
    assert 2 * max(found) <= sum(found)
    wanted = [round(share * size) for size in counts]
    most = wanted.index(max(wanted))
    assert [w for i, w in enumerate(wanted) if i != most] == [f for i, f in enumerate(found) if i != most]
    assert found[most] == min(wanted[most], sum(wanted) - wanted[most])


@given(sizes, shares, st.integers(0, 2**32 - 1))
def test_nothing_stays_and_nothing_is_lost(counts: list[int], share: float, seed: int) -> None:
    counts = leaving(counts, share)
    thing = assignment(counts, np.random.RandomState(seed))
    assert sorted(thing.tolist()) == list(range(sum(counts)))
    for start, end in pairwise(np.cumsum([0, *counts]).tolist()):
        assert not set(range(start, end)) & set(thing[start:end].tolist())


def test_all_others_give_alike() -> None:
    counts = [600] * 4
    thing = assignment(counts, np.random.RandomState(1))
    given_to = np.array([np.bincount(run // 600, minlength=4) for run in thing.reshape(4, 600)])
    assert given_to.diagonal().tolist() == [0] * 4
    # Each of the others gives about a third, standard deviation 12.
    assert (np.abs(given_to[~np.eye(4, dtype=bool)] - 200) < 60).all()


@given(st.sampled_from(["class-incremental", "domain-incremental"]), st.integers(2, 5), shares, st.integers(0, 50))
def test_a_share_of_each_experience_comes_from_the_others(
    setting: str, experiences: int, share: float, seed: int
) -> None:
    clear, blurred = (stream(b, seed, setting=setting, experiences=experiences) for b in (0.0, share))
    target = {
        id_: target for e in clear for id_, target in zip(e.train.ids.tolist(), e.train.targets.tolist(), strict=True)
    }
    counts = leaving([len(e.train) for e in clear], share)
    seen: list[int] = []
    for before, after, count in zip(clear, blurred, counts, strict=True):
        assert len(after.train) == len(before.train)
        assert len(ids(after) - ids(before)) == count
        assert [target[id_] for id_ in after.train.ids.tolist()] == after.train.targets.tolist()
        assert (after.classes, after.outputs, after.index) == (before.classes, None, before.index)
        seen += after.train.ids.tolist()
    assert sorted(seen) == sorted(target)


def test_ids_stay_with_their_inputs_and_test_sets_as_they_were() -> None:
    clear, blurred = stream(0.0), stream(0.3)
    inputs = {}
    for e in clear:
        for id_, x in zip(e.train.ids.tolist(), e.train.take(torch.arange(len(e.train)))[0], strict=True):
            inputs[id_] = x
    for index, e in enumerate(blurred):
        for id_, x in zip(e.train.ids.tolist(), e.train.take(torch.arange(len(e.train)))[0], strict=True):
            assert torch.equal(inputs[id_], x)
        assert blurred.test_fingerprint(index) == clear.test_fingerprint(index)
        assert torch.equal(e.test.ids, clear[index].test.ids)


def test_fingerprints_follow_share_and_seed_and_nothing_else() -> None:
    def prints(found: Stream) -> list[str]:
        return [found.fingerprint(index) for index in range(len(found))]

    base = prints(stream(0.1, 0, order="natural"))
    assert prints(stream(0.1, 0, order="natural")) == base
    assert prints(pickle.loads(pickle.dumps(stream(0.1, 0, order="natural")))) == base
    assert prints(stream(0.1, 0, order="natural")[2:]) == base[2:]
    others = [prints(stream(*other, order="natural")) for other in ((0.0, 0), (0.2, 0), (0.1, 1))]
    assert not {one for other in others for one in other} & set(base)


def test_the_exchange_is_no_more_than_row_numbers_and_is_not_pickled() -> None:
    found = stream(0.1)
    before = len(pickle.dumps(found))
    assert len(found[0].train) > 0
    assert len(pickle.dumps(found)) == before
    taken = found[1].train.take(torch.arange(2))[0]
    assert taken.dtype == torch.uint8


@pytest.mark.parametrize("part", [slice(None), slice(1, 4)])
def test_a_validation_split_comes_before_the_exchange(part: slice) -> None:
    clear, blurred = (hold_out(stream(b)[part], 0.2, seed=3) for b in (0.0, 0.25))
    for before, after in zip(clear, blurred, strict=True):
        assert torch.equal(after.test.ids, before.test.ids)
        foreign = len(ids(after) - ids(before))
        assert foreign == round(0.25 * len(before.train))
        assert not any(set(e.test.ids.tolist()) & ids(after) for e in clear)
