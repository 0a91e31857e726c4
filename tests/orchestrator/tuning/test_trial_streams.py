"""The streams that trials learn."""

from __future__ import annotations

import pickle
from collections.abc import Callable

from orchestrator.tuning.trial_streams import Streams, Validation
from pipelines.config.load import with_settings
from pipelines.config.schema import Pipeline
from pipelines.data.streams import build_stream

Make = Callable[..., Pipeline]


def test_trials_are_judged_by_a_part_of_the_training_data(make: Make) -> None:
    pipeline = make()
    whole = build_stream(pipeline.stream, pipeline.seed)
    held = Streams(Validation(0.2, 0)).share(pipeline)
    for index in range(len(whole)):
        ids = set(whole[index].train.ids.tolist())
        train, test = set(held[index].train.ids.tolist()), set(held[index].test.ids.tolist())
        assert train | test == ids and not train & test and 0.15 < len(test) / len(ids) < 0.25
    assert Streams().share(pipeline).test_fingerprint(0) == whole.test_fingerprint(0)


def test_pipelines_that_learn_the_same_share_one_stream(make: Make) -> None:
    streams = Streams()
    first = streams.share(make())
    assert streams.share(with_settings(make(), {"train.epochs": 3, "seed": 7})) is first
    assert len(streams.made) == 1


def test_a_seed_that_decides_the_data_makes_another(make: Make) -> None:
    streams = Streams()
    shuffled = {"stream": {"dataset": "digits", "experiences": 5, "order": "shuffled"}}
    for seed in (0, 1):
        streams.share(with_settings(make(**shuffled), {"seed": seed}))
    assert len(streams.made) == 2


def test_a_process_makes_what_was_not_placed_once(make: Make) -> None:
    streams = pickle.loads(pickle.dumps(Streams(Validation(0.2, 0))))
    stream = streams.of(make())
    assert streams.of(make(train={"epochs": 4})) is stream
    # Another share of validation is another stream.
    other = Streams(Validation(0.4, 0)).of(make())
    assert other is not stream and len(other[0].test) > len(stream[0].test)
