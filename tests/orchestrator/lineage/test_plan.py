"""Ids of commits: what decides them, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.lineage.plan import make_plan
from pipelines.config.load import load_text
from pipelines.data.streams import build_stream

PIPELINE = """
name: x
stream: {dataset: digits, experiences: 3}
model: {name: mlp, hidden: [8]}
strategy: [{name: ewc}, {name: replay}]
"""


def ids(*overrides: str) -> list[str]:
    pipeline = load_text(PIPELINE, overrides=overrides)
    return [planned.id for planned in make_plan(pipeline, build_stream(pipeline.stream, pipeline.seed))]


def test_ids_stay_the_same_over_releases() -> None:
    """Stored lineages are found by them: options that were added later change nothing while they are not used."""
    assert [id_[:12] for id_ in ids()] == ["780ceb2a69b9", "aceae499c2cb", "bd1cd8356185"]
    online = ids("strategy=[{name: ewc, mode: online, gamma: 0.5}]")
    assert [id_[:12] for id_ in online] == ["e65a6a5e0cad", "8f3fab57e805", "52a20af013a8"]
    assert ids("stream.online=false", "stream.blurry=0", "strategy.ewc.every=null") == ids()


@pytest.mark.parametrize("override", ["stream.online=true", "stream.blurry=0.1", "train.batch_size=7", "seed=1"])
def test_what_changes_learning_changes_every_id(override: str) -> None:
    assert not set(ids(override)) & set(ids())


@pytest.mark.parametrize("option", ["strategy.ewc.lambda=3", "strategy.replay.ratio=0.3"])
def test_options_without_effect_on_the_first_experience_share_its_commit(option: str) -> None:
    usual, other = ids(), ids(option)
    assert usual[0] == other[0]
    assert not set(usual[1:]) & set(other)
    assert not set(ids("stream.online=true")) & set(ids("stream.online=true", option))


@pytest.mark.parametrize("option", ["strategy.ewc.lambda=3", "strategy.ewc.gamma=0.3", "strategy.ewc.every=9"])
def test_ewc_by_steps_has_an_effect_at_once(option: str) -> None:
    by_steps = ["strategy.ewc.mode=online", "strategy.ewc.every=8"]
    assert not set(ids(*by_steps)) & set(ids(*by_steps, option))


def test_the_number_of_workers_and_the_storage_do_not_matter() -> None:
    same: dict[str, Any] = {"scaling.workers": 2, "storage": "elsewhere", "train.checkpoint_every": 3}
    assert ids(*(f"{key}={value}" for key, value in same.items())) == ids()
