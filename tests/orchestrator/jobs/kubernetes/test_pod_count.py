"""How many pods a pipeline needs, and what each of them takes."""

from __future__ import annotations

import pytest

from orchestrator.jobs.kubernetes.pod_count import CONCURRENT, size_of
from pipelines.config.load import load_text

TEXT = "name: p\nstream: {dataset: digits, setting: class-incremental, experiences: 5}\nmodel: mlp\nstrategy: naive\n"


def of(scaling: str, kind: str = "run", tune: str = "") -> tuple[int, int, dict[str, str], dict[str, str]]:
    search = f"tune: {{space: {{train.optimizer.lr: {{loguniform: [0.001, 0.1]}}}}, {tune}}}\n" if tune else ""
    found = size_of(load_text(f"{TEXT}scaling: {{{scaling}}}\n{search}"), kind)
    return found.minimum, found.maximum, dict(found.resources), dict(found.custom)


@pytest.mark.parametrize(("workers", "pods"), [("1", (1, 1)), ("3", (3, 3)), ("[2, 5]", (2, 5))])
def test_one_pod_for_each_worker(workers: str, pods: tuple[int, int]) -> None:
    assert of(f"workers: {workers}") == (*pods, {"cpu": "1", "memory": "4Gi"}, {})


def test_resources_are_rounded_up_and_ray_s_own_are_apart() -> None:
    low, high, resources, custom = of("workers: 2, gpu: true, resources: {CPU: 1.5, memory: 5000000000, lane: 2}")
    assert (low, high) == (2, 2)
    assert resources == {"cpu": "2", "memory": "5Gi", "nvidia.com/gpu": "1"} and custom == {"lane": "2"}


def test_trials_that_take_a_part_of_a_gpu_share_a_pod() -> None:
    low, high, resources, _ = of("workers: 1", "tune", "trials: 6, max_concurrent: 6, resources: {cpu: 2, gpu: 0.25}")
    assert (low, high) == (1, 2)
    assert resources == {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("tune", "pods"), [("trials: 9", CONCURRENT), ("trials: 2", 2), ("trials: 9, max_concurrent: 7", 7)]
)
def test_a_search_grows_to_its_trials(tune: str, pods: int) -> None:
    assert of("workers: 1", "tune", tune)[:2] == (1, pods)
    assert of("workers: 2", "tune", tune)[:2] == (2, 2 * pods)
    # The same file as a run.
    assert of("workers: 1", "run", tune)[:2] == (1, 1)


def test_what_a_trial_takes_wins_over_what_a_worker_takes() -> None:
    assert of("workers: 1", "tune", "trials: 8, resources: {gpu: 0.5, cpu: 1}")[:3] == (
        1, 2, {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"},
    )  # fmt: skip
