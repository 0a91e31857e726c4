"""What a trial takes of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import ClusterError
from orchestrator.tuning.trial_resources import Needs, at_once, needs, settled
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.config.sections.scaling_section import ScalingSpec


def scaling(text: str) -> ScalingSpec:
    stream = "{dataset: digits, setting: class-incremental}"
    return load_text(f"name: p\nstream: {stream}\nmodel: mlp\nstrategy: naive\nscaling: {text}\n").scaling


@pytest.mark.parametrize(
    ("text", "own", "workers", "each"),
    [
        ("{workers: 1}", {}, 1, {"CPU": 1}),
        ("{workers: [2, 5]}", {}, 2, {"CPU": 1}),
        ("{workers: 1, gpu: true, resources: {CPU: 4}}", {}, 1, {"CPU": 4, "GPU": 1}),
        ("{workers: 1, gpu: true, resources: {CPU: 4}}", {"gpu": 0.25, "cpu": 1}, 1, {"CPU": 1, "GPU": 0.25}),
        ("{workers: 1}", {"lane": 2, "cpu": 0}, 1, {"lane": 2}),
        ("{workers: 1}", {"cpu": 0}, 1, {"memory": 1}),
    ],
)
def test_what_the_search_says_wins_over_what_a_worker_takes(
    text: str, own: dict[str, float], workers: int, each: dict[str, float]
) -> None:
    found = needs(scaling(text), own)
    assert (found.workers, dict(found.each)) == (workers, each)
    assert found.threads == max(1, int(each.get("CPU", 1))) and found.gpu == ("GPU" in each)


def test_a_trial_with_workers_takes_next_to_nothing_itself() -> None:
    assert Needs(1, {"CPU": 2}).bundles().bundles == [{"CPU": 2}]
    assert Needs(3, {"CPU": 2}).bundles().bundles == [{"memory": 1}]


@pytest.mark.parametrize(
    ("nodes", "need", "trials"),
    [
        ([{"CPU": 4}], Needs(1, {"CPU": 1}), 4),
        ([{"CPU": 4}], Needs(1, {"CPU": 0.3}), 13),
        ([{"CPU": 4, "GPU": 1}], Needs(1, {"CPU": 1, "GPU": 0.5}), 2),
        # A worker does not reach over two nodes, a trial does.
        ([{"CPU": 3}, {"CPU": 3}], Needs(1, {"CPU": 2}), 2),
        ([{"CPU": 3}, {"CPU": 3}], Needs(2, {"CPU": 2}), 1),
        # An autoscaler may add nodes.
        ([{"CPU": 1}, {}], Needs(2, {"CPU": 2}), 1),
    ],
)
def test_as_many_at_once_as_the_nodes_have_room_for(
    nodes: list[dict[str, float]], need: Needs, trials: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [{"Alive": True, "Resources": node} for node in nodes] + [{"Alive": False, "Resources": {"CPU": 99}}]
    monkeypatch.setattr("ray.nodes", lambda: listed)
    assert at_once(need) == trials


def test_what_one_machine_has_no_room_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2}}])
    with pytest.raises(ClusterError, match=r"a trial needs 4 CPU, 2 GPU, this machine has 2 CPU, 0 GPU"):
        at_once(Needs(2, {"CPU": 2, "GPU": 1}))


def test_places_are_the_same_in_any_process(
    make: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = settled(make(storage="here", tracking={"uri": "sqlite:///m.db"}))
    assert found.storage == str(tmp_path / "here") and str(tmp_path) in found.tracking.uri
