import pytest
import torch

from pipelines.config.pipeline_errors import DataError
from pipelines.config.sections.stream_section import StreamSpec
from pipelines.data.experience_samples import ID_BITS
from pipelines.data.streams import Stream, build_stream
from pipelines.data.validation_split import hold_out


def stream(**settings: object) -> Stream:
    return build_stream(StreamSpec.model_validate({"dataset": {"name": "digits"}, **settings}), seed=0)


def ids(samples: object) -> set[int]:
    return set(samples.ids.tolist())  # type: ignore[attr-defined]


def test_training_and_validation_share_the_training_data_and_leave_the_tests_alone() -> None:
    whole = stream(experiences=5)
    split = hold_out(whole, 0.1, seed=3)
    assert (len(split), split.outputs, split.setting, split.input_shape) == (5, 10, whole.setting, whole.input_shape)
    for before, after in zip(whole, split, strict=True):
        assert (after.index, after.classes, after.outputs) == (before.index, before.classes, before.outputs)
        assert not ids(after.train) & ids(after.test)
        assert ids(after.train) | ids(after.test) == ids(before.train)
        tests = {bytes(row.numpy().tobytes()) for row in before.test.take(torch.arange(len(before.test)))[0]}
        held = {bytes(row.numpy().tobytes()) for row in after.test.take(torch.arange(len(after.test)))[0]}
        # The dataset itself holds no picture twice.
        assert not tests & held
        for target in torch.unique(before.train.targets):
            count, held_out = ((s.targets == target).sum().item() for s in (before.train, after.test))
            assert held_out == round(0.1 * count)


def test_both_sides_have_fingerprints_of_their_own() -> None:
    whole = stream(experiences=5)
    split = hold_out(whole, 0.1, seed=3)
    prints = [s.fingerprint(i) for s in (whole, split) for i in range(5)]
    prints += [s.test_fingerprint(i) for s in (whole, split) for i in range(5)]
    assert len(set(prints)) == 20
    again = hold_out(stream(experiences=5), 0.1, seed=3)
    assert [again.fingerprint(i) for i in range(5)] == [split.fingerprint(i) for i in range(5)]
    assert hold_out(whole, 0.1, seed=4).fingerprint(0) != split.fingerprint(0)
    assert split[:2].fingerprint(1) == split.fingerprint(1)


def test_what_is_held_out_does_not_depend_on_how_classes_are_split() -> None:
    five, two = (hold_out(stream(experiences=count), 0.2, seed=1) for count in (5, 2))
    assert set().union(*(ids(e.test) for e in five)) == set().union(*(ids(e.test) for e in two))


def test_a_row_is_held_out_of_every_experience_that_shows_it() -> None:
    setting = {"setting": "domain-incremental", "experiences": 3, "transform": {"name": "permute"}}
    split = hold_out(stream(**setting), 0.1, seed=0)
    rows = [{i & ((1 << ID_BITS) - 1) for i in ids(experience.test)} for experience in split]
    assert rows[0] == rows[1] == rows[2]
    assert not torch.equal(split[0].test.take(torch.arange(1))[0], split[1].test.take(torch.arange(1))[0])


def test_an_experience_that_is_too_small_is_refused() -> None:
    from pipelines.data.datasets.dataset import from_tensors
    from pipelines.data.experience_samples import class_parts

    x, y = torch.zeros(3, 2), torch.tensor([0, 0, 1])
    parts = class_parts(from_tensors("tiny", (x, y), (x, y)), [(0,), (1,)], "class-incremental")
    whole = Stream(dict(enumerate(parts)), setting="class-incremental", outputs=2, input_shape=(2,))
    split = hold_out(whole, 0.01, seed=0)
    assert (len(split[0].train), len(split[0].test)) == (1, 1)
    with pytest.raises(DataError, match=r"tune.validation: experience 1 has 1 training samples"):
        _ = split[1].train
