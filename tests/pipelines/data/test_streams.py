"""Streams: settings, order, transforms, slices, fingerprints, memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.config.sections.stream_section import StreamSpec
from pipelines.data.streams import Stream, build_stream
from tests.pipelines.data.made_streams import OWN, stream


def _fingerprints(found: Stream) -> list[tuple[str, str]]:
    return [(found.fingerprint(i), found.test_fingerprint(i)) for i in range(len(found))]


def test_class_incremental() -> None:
    found = stream(experiences=2)
    assert (len(found), found.outputs, found.input_shape, found.setting) == (2, 4, (1, 4, 4), "class-incremental")
    for index, experience in enumerate(found):
        assert (experience.index, experience.task, experience.outputs) == (index, index, None)
        assert experience.classes == (2 * index, 2 * index + 1)
        assert experience.train.targets.unique().tolist() == list(experience.classes)
        assert torch.equal(experience.train.targets, experience.train.ids % 4)
        inputs, _ = experience.train.take(torch.arange(len(experience.train)))
        assert inputs.dtype == torch.uint8
        assert torch.equal(inputs[:, 0, 0, 0].long(), experience.train.ids)
        assert len(experience.test) == 10


def test_task_incremental_lets_only_its_own_units_answer() -> None:
    found = stream(setting="task-incremental", order=[[3, 1], [0, 2]])
    assert found.outputs == 4
    assert [experience.outputs for experience in found] == [(1, 3), (0, 2)]
    assert [experience.classes for experience in found] == [(3, 1), (0, 2)]
    assert found[0].train.targets.unique().tolist() == [1, 3]


def test_domain_incremental_numbers_classes_within_the_experience() -> None:
    found = stream(setting="domain-incremental", order=[[3, 1, 2], [0]])
    assert found.outputs == 3
    assert found[0].outputs is None
    train = found[0].train
    expected = {3: 0, 1: 1, 2: 2}
    assert train.targets.tolist() == [expected[row % 4] for row in train.ids.tolist()]
    assert found[1].train.targets.unique().tolist() == [0]


@given(st.data())
@settings(max_examples=25)
def test_experiences_partition_the_data(data: st.DataObject) -> None:
    classes = data.draw(st.integers(1, 8))
    experiences = data.draw(st.integers(1, classes))
    setting = data.draw(st.sampled_from(["class-incremental", "task-incremental", "domain-incremental"]))
    found = stream(
        setting=setting,
        experiences=experiences,
        order=data.draw(st.sampled_from(["natural", "shuffled"])),
        seed=data.draw(st.integers(0, 1000)),
        classes=classes,
    )
    ids = torch.cat([experience.train.ids for experience in found])
    assert sorted(ids.tolist()) == list(range(40))
    assert sum(len(experience.test) for experience in found) == 20
    assert sorted(number for experience in found for number in experience.classes) == list(range(classes))
    targets = torch.cat([experience.train.targets for experience in found])
    assert 0 <= int(targets.min()) <= int(targets.max()) < found.outputs


@given(st.slices(4))
def test_slices_are_streams_that_keep_everything(piece: slice) -> None:
    whole = stream(experiences=4, setting="task-incremental")
    part = whole[piece]
    assert isinstance(part, Stream)
    assert [experience.index for experience in part] == list(range(4))[piece]
    assert (part.outputs, part.input_shape, part.setting) == (whole.outputs, whole.input_shape, whole.setting)
    for position, experience in enumerate(part):
        assert part.fingerprint(position) == whole.fingerprint(experience.index)
        assert torch.equal(experience.train.ids, whole[experience.index].train.ids)


def test_indexing() -> None:
    found = stream(experiences=4)
    assert found[-1].index == 3
    assert found[1:][0].index == 1
    assert [experience.index for experience in found] == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        found[4]


def test_shuffled_order_follows_the_seed() -> None:
    orders = [[e.classes for e in stream(experiences=4, order="shuffled", seed=seed)] for seed in (0, 0, 1, 2)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2] or orders[0] != orders[3]


@pytest.mark.parametrize("transform", ["permute", "rotate"])
def test_transformed_experiences_have_all_classes(transform: str) -> None:
    found = stream(setting="domain-incremental", experiences=3, transform=transform)
    plain = stream(experiences=1)[0].train
    assert found.outputs == 4
    ids: list[int] = []
    for index, experience in enumerate(found):
        assert experience.classes == (0, 1, 2, 3)
        assert torch.equal(experience.train.targets, plain.targets)
        assert experience.train.ids.tolist() == [(index << 40) | row for row in range(40)]
        ids += experience.train.ids.tolist()
        assert experience.train.take(torch.arange(3))[0].dtype == torch.uint8
    assert len(set(ids)) == len(ids)
    first = found[0].train.take(torch.arange(40))[0]
    assert torch.equal(first, plain.take(torch.arange(40))[0])


def test_transforms_act_alike_on_training_and_test() -> None:
    found = stream("digits", setting="domain-incremental", experiences=2, transform="permute")
    plain = stream("digits", experiences=1)
    index = torch.arange(50)
    before, after = plain[0].train.take(index)[0].flatten(1), found[1].train.take(index)[0].flatten(1)
    order = found._parts[1].transform.order  # type: ignore[union-attr, attr-defined]
    assert torch.equal(before[:, list(order)], after)
    test_before, test_after = plain[0].test.take(index)[0].flatten(1), found[1].test.take(index)[0].flatten(1)
    assert torch.equal(test_before[:, list(order)], test_after)


def test_transforms_in_the_other_settings_give_each_experience_units_of_its_own() -> None:
    found = stream(setting="task-incremental", experiences=3, transform="permute")
    assert found.outputs == 12
    assert found[1].outputs == (4, 5, 6, 7)
    assert found[1].train.targets.unique().tolist() == [4, 5, 6, 7]
    found = stream(setting="class-incremental", experiences=3, transform="permute")
    assert found[2].outputs is None
    assert found[2].test.targets.unique().tolist() == [8, 9, 10, 11]


def test_a_longer_stream_keeps_its_fingerprints() -> None:
    explicit = [[0, 1], [3], [2]]
    assert _fingerprints(stream(order=explicit))[:2] == _fingerprints(stream(order=explicit[:2]))
    for transform in ("permute", "rotate"):
        long, short = (stream(setting="domain-incremental", experiences=n, transform=transform) for n in (4, 2))
        assert _fingerprints(long)[:2] == _fingerprints(short)
        assert len({name for name, _ in _fingerprints(long)}) == 4


def test_fingerprints_follow_content_targets_and_seed() -> None:
    base = _fingerprints(stream(experiences=2))
    assert base == _fingerprints(stream(experiences=2))
    assert base == _fingerprints(stream(f"{OWN}map_style", experiences=2))
    assert base == _fingerprints(stream(experiences=2, setting="task-incremental"))
    assert base != _fingerprints(stream(f"{OWN}tensors", experiences=2))
    assert base[0] == _fingerprints(stream(experiences=2, setting="domain-incremental"))[0]
    assert base[1] != _fingerprints(stream(experiences=2, setting="domain-incremental"))[1]
    permuted = [stream(setting="domain-incremental", experiences=2, transform="permute", seed=s) for s in (0, 1)]
    assert permuted[0].fingerprint(0) == permuted[1].fingerprint(0)
    assert permuted[0].fingerprint(1) != permuted[1].fingerprint(1)
    assert len({name for pair in base for name in pair}) == 4


def test_digits_have_these_fingerprints_on_any_machine() -> None:
    assert _fingerprints(stream("digits", experiences=5))[1] == (
        "519afc075f7bf19eb2e0f11a0df366f08b65d9f3f484d59e7d1a378ed2dfc827",
        "5f247988d4a626c1ab005e7faffc041231fb2451a97ad878ea5fc211e99b7326",
    )


def test_fingerprints_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = stream(experiences=2)
    before = _fingerprints(found)
    monkeypatch.setattr("pipelines.data.streams.fingerprint", None)
    assert _fingerprints(found) == before
    assert _fingerprints(found[:1]) == before[:1]
    assert _fingerprints(pickle.loads(pickle.dumps(found))) == before


def test_a_pickled_stream_gives_the_same_from_read_only_memory(recwarn: pytest.WarningsRecorder) -> None:
    found = stream("digits", experiences=5)
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(found, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 10_000
    again = pickle.loads(data, buffers=[memoryview(buffer.raw()).toreadonly() for buffer in buffers])
    for one, other in zip(found, again, strict=True):
        index = torch.arange(len(one.train))
        assert torch.equal(one.train.ids, other.train.ids)
        for a, b in zip(one.train.take(index), other.train.take(index), strict=True):
            assert torch.equal(a, b)
    assert again.fingerprint(2) == found.fingerprint(2)
    assert not recwarn.list


def test_experiences_of_one_dataset_share_its_memory() -> None:
    found = stream(experiences=4)
    bases = {experience.train._inputs.data_ptr() for experience in found}  # type: ignore[attr-defined]
    assert len(bases) == 1


def test_the_schema_fits() -> None:
    spec = StreamSpec.model_validate(
        {"dataset": {"name": f"{OWN}arrays", "count": 24}, "setting": "domain-incremental", "experiences": 2,
         "transform": {"name": "rotate", "degrees": 30}}
    )  # fmt: skip
    found = build_stream(spec, 0)
    assert len(found[1].train) == 24
    assert found._parts[1].transform.parameters == {"name": "rotate", "degrees": 30.0}  # type: ignore[union-attr]


@pytest.mark.parametrize("setting", ["class-incremental", "task-incremental", "domain-incremental"])
def test_a_folder_is_a_stream(setting: str, tmp_path: Path) -> None:
    for name, labels in (("b", [0, 2, 2, 0]), ("a", [1, 1, 0, 0])):
        np.savez(tmp_path / f"{name}.npz", x=np.arange(8.0).reshape(4, 2) + ord(name), y=labels)
    found = stream("npz", setting=setting, path=str(tmp_path), test_fraction=0.5)
    assert (len(found), found.outputs, found.input_shape) == (2, 3, (2,))
    assert [experience.classes for experience in found] == [(0, 1), (0, 2)]
    masked = setting == "task-incremental"
    assert [experience.outputs for experience in found] == ([(0, 1), (0, 2)] if masked else [None, None])
    assert found[1].train.targets.unique().tolist() == [0, 2]
    ids = [*found[1].train.ids.tolist(), *found[1].test.ids.tolist()]
    assert sorted(ids) == [(1 << 40) | row for row in range(4)]
    np.savez(tmp_path / "c.npz", x=np.ones((4, 2)), y=[1, 1, 2, 2])
    longer = stream("npz", setting=setting, path=str(tmp_path), test_fraction=0.5)
    assert _fingerprints(longer)[:2] == _fingerprints(found)
    assert len(stream("npz", setting=setting, path=str(tmp_path), experiences=1)) == 1


def test_map_style_datasets() -> None:
    found = stream(f"{OWN}map_style", experiences=2)
    assert torch.equal(found[1].train.take(torch.arange(3))[0], stream(experiences=2)[1].train.take(torch.arange(3))[0])
    workers = stream(f"{OWN}map_style_with_workers", experiences=2, workers=1)
    read = [inputs for inputs, _ in workers[1].train.batches(torch.arange(20).split(6))]
    assert torch.equal(torch.cat(read), found[1].train.take(torch.arange(20))[0])
    turned = stream(f"{OWN}map_style", setting="domain-incremental", experiences=2, transform="permute")
    plain = stream(setting="domain-incremental", experiences=2, transform="permute")
    assert torch.equal(turned[1].test.take(torch.arange(20))[0], plain[1].test.take(torch.arange(20))[0])


def test_units_have_the_names_of_their_classes_where_each_stands_for_one(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("one", "d/1"):
        np.savez(tmp_path / f"{name}.npz", x=np.arange(16).reshape(8, 2), y=["cat", "dog", "emu", "fox"] * 2)
    names = ("cat", "dog", "emu", "fox")
    one, many = {"path": str(tmp_path / "one.npz")}, {"path": str(tmp_path / "d")}
    split = {"experiences": 2}
    found = {
        "split": stream("npz", **one, **split),
        "task": stream("npz", **one, **split, setting="task-incremental"),
        "blurry": stream("npz", **one, **split, blurry=0.1),
        "folder": stream("npz", **many, setting="domain-incremental"),
        "turned": stream("npz", **one, **split, transform="permute", setting="domain-incremental"),
        "domains": stream("npz", **one, **split, setting="domain-incremental"),
        "one domain": stream("npz", **one, order=[["dog", "cat", "emu", "fox"]], setting="domain-incremental"),
        "own units": stream("npz", **one, **split, transform="permute"),
    }
    assert all(made.class_names == names for made in found.values())
    assert {name for name, made in found.items() if made.unit_names == names} == {
        *("split", "task", "blurry", "folder", "turned")
    }
    assert {made.unit_names for made in found.values()} == {names, None}
    assert found["split"][1:].unit_names == names
