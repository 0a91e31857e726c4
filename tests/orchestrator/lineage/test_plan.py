"""Ids of commits: what decides them, and what does not.

Covers: `orchestrator/lineage/clarified_settings.py`
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, PlainSerializer

from orchestrator.lineage.plan import influence, influential, make_plan
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.data.streams import Stream, build_stream
from strategies.api.influence import LEARNED, NOT_LEARNED, SECTION, Influence
from tests.orchestrator.lineage.pinned_ids import PINNED, ends
from tests.orchestrator.lineage.wider_schema import spec_classes

PIPELINE = """
name: x
stream: {dataset: digits, experiences: 3}
model: {name: mlp, hidden: [8]}
strategy: [{name: ewc}, {name: replay}]
"""


def _pipeline(*overrides: str) -> tuple[Pipeline, Stream]:
    pipeline = load_text(PIPELINE, overrides=overrides)
    return pipeline, build_stream(pipeline.stream, pipeline.seed)


def ids(*overrides: str) -> list[str]:
    return [planned.id for planned in make_plan(*_pipeline(*overrides))]


def test_ids_stay_the_same_over_releases() -> None:
    """Stored lineages are found by them: options that were added later change nothing while they are not used."""
    assert [id_[:12] for id_ in ids()] == ["780ceb2a69b9", "aceae499c2cb", "bd1cd8356185"]
    online = ids("strategy=[{name: ewc, mode: online, gamma: 0.5}]")
    assert [id_[:12] for id_ in online] == ["e65a6a5e0cad", "8f3fab57e805", "52a20af013a8"]
    assert ids("stream.online=false", "stream.blurry=0", "strategy.ewc.every=null") == ids()


def test_an_objective_at_its_defaults_changes_no_id_and_each_of_its_options_every_id() -> None:
    assert ids("objective=classification") == ids()
    assert ids("objective={name: classification, class_weights: null, label_smoothing: 0, focal: 0.0}") == ids()
    made = [ids(f"objective={{name: classification, {o}}}") for o in ("class_weights: balanced", "focal: 2")]
    assert all(one != other for one, other in zip(ids(), made[0], strict=True))
    assert len({one[0] for one in (ids(), *made)}) == 3


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


@pytest.mark.parametrize("overrides", PINNED, ids=" ".join)
def test_the_ids_of_stored_lineages_do_not_change(overrides: tuple[str, ...]) -> None:
    assert ends(*overrides) == PINNED[overrides]


def test_every_field_says_what_it_influences() -> None:
    silent = [
        f"{kind.__module__}.{kind.__name__}.{name}"
        for kind in spec_classes()
        for name, field in kind.model_fields.items()
        if not any(isinstance(entry, Influence) for entry in field.metadata)
    ]
    assert silent == [], "annotate with LEARNED, THROUGH_DATA, NOT_LEARNED or Influence of strategies.api.influence"


def test_what_was_added_later_has_a_default() -> None:
    added = [
        field
        for kind in spec_classes()
        for field in kind.model_fields.values()
        if any(isinstance(entry, Influence) and entry.added is not None for entry in field.metadata)
    ]
    assert len(added) >= 4 and not any(field.is_required() for field in added)


def wider_schema(form: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.orchestrator.lineage.wider_schema", form]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def test_a_field_that_any_class_gains_changes_no_id_until_it_is_used() -> None:
    found = wider_schema("later")
    assert {f"{kind.__module__}.{kind.__name__}" for kind in spec_classes()} <= set(found["classes"])
    assert [tuple(pair) for pair in found["pinned"]] == list(PINNED.values())
    usual = list(PINNED[("strategy=[{name: ewc}]",)])
    assert all(first != usual[0] and last != usual[1] for first, last in found["learning"])
    assert len({tuple(pair) for pair in found["learning"]}) == len(found["learning"])
    assert found["elsewhere"] == [usual] * len(found["elsewhere"])


def test_a_field_that_does_not_say_when_it_was_added_changes_every_id() -> None:
    found = wider_schema("always")
    assert not {id_ for pair in found["pinned"] for id_ in pair} & {id_ for pair in PINNED.values() for id_ in pair}


class Inner(BaseModel):
    kept: Annotated[int, LEARNED] = 1
    new: Annotated[int, Influence(added="9.0")] = 2
    late: Annotated[int, Influence(experience=2)] = 3
    never: Annotated[int, NOT_LEARNED] = 4


class Beside(BaseModel):
    beside: Annotated[int, LEARNED] = 5
    switch: Annotated[bool, Influence(added="9.0", at_once=True)] = False


class Outer(BaseModel):
    inner: Annotated[Inner, LEARNED] = Inner()
    several: Annotated[list[Inner], LEARNED] = Field(default_factory=lambda: [Inner(new=7)], alias="many")
    named: Annotated[dict[str, Inner], LEARNED] = Field(default_factory=lambda: {"a": Inner(kept=8)})
    section: Annotated[Beside, SECTION] = Beside()
    own: Annotated[Inner, PlainSerializer(lambda inner: {"sum": inner.kept + inner.new})] = Inner()


def test_parts_within_parts_are_followed() -> None:
    assert influential(Outer(), 0) == {
        "inner": {"kept": 1},
        "many": [{"kept": 1, "new": 7}],
        "named": {"a": {"kept": 8}},
        "beside": 5,
        "own": {"sum": 3},
    }
    assert influential(Outer(), 2)["inner"] == {"kept": 1, "late": 3}


def test_a_switch_gives_every_part_an_effect_at_once() -> None:
    found = influential(Outer(section=Beside(switch=True)), 0)
    assert found["inner"] == {"kept": 1, "late": 3} and found["switch"] is True


def test_the_rule_for_the_last_batch_matters_where_it_is_not_the_usual_one() -> None:
    assert ids("train.last_batch=keep") == ids()
    for rule in ("drop", "merge"):
        assert not set(ids(f"train.last_batch={rule}")) & set(ids())


def test_parts_of_batches_matter_to_layers_that_take_statistics_of_them() -> None:
    assert ids("train.accumulate=4") == ids()
    normalised = ids("model=resnet18-slim")
    assert ids("model=resnet18-slim", "train.accumulate=1") == normalised
    assert not set(ids("model=resnet18-slim", "train.accumulate=4")) & set(normalised)
    later = ids("model=resnet18-slim", "train.per_experience={1: {accumulate: 4}}")
    assert later[0] == normalised[0] and later[1] != normalised[1] and later[2] != normalised[2]


@pytest.mark.parametrize("train", ["", "per_experience: {1: {batch_size: 7}, 3: {strategy: {ewc: {lambda: 3}}}}"])
@pytest.mark.parametrize("found", [{}, {2: {"strategy.replay.capacity": 9}}, {4: {"train.optimizer.lr": 0.5}}])
def test_each_experience_has_the_settings_that_influence_it(train: str, found: dict[int, dict[str, Any]]) -> None:
    """Those of a long stream are not asked for one by one."""
    text = "name: a\nstream: {dataset: digits, experiences: 5}\nmodel: mlp\n"
    pipeline = load_text(f"{text}strategy: [ewc, {{name: replay, capacity: 20}}]\ntrain: {{{train}}}\n")
    stream = build_stream(pipeline.stream, 0)
    stream.settings = found
    plan = make_plan(pipeline, stream)
    assert [planned.spec for planned in plan] == [influence(pipeline, stream, index) for index in range(5)]
    assert plan[0].spec != plan[1].spec


def test_a_lower_capacity_matters_from_the_experience_that_has_it() -> None:
    less = ids("train.per_experience={1: {strategy: {replay: {capacity: 5}}}}")
    spec = make_plan(*_pipeline("train.per_experience={1: {strategy: {replay: {capacity: 5}}}}"))[1].spec
    assert less[0] == ids()[0] and spec["strategy"][1]["memory"] == "trimmed"
    assert "memory" not in make_plan(*_pipeline())[1].spec["strategy"][1]
