"""The main job on a real Ray: any number of workers, resuming, extending, sharing, failing."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from orchestrator.cluster.liveness import while_ray_lives
from orchestrator.errors import RunFailed
from orchestrator.events import CommitWritten, ExperienceStarted, StepDone
from orchestrator.lineage.lineage import Lineage
from orchestrator.result import RunResult
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.driver import run
from orchestrator.training.prometheus import COMMIT_SECONDS, GAUGES, Telemetry
from pipelines.build import make_model, make_stream
from pipelines.config.load import load_text, with_settings
from pipelines.config.schema import Pipeline
from strategies.memory.reservoir import Memory
from tests.orchestrator.train_stream import train
from tests.orchestrator.training.test_prometheus import chain
from tests.pipelines.data.blocks.block_files import stream_of_files

pytestmark = [pytest.mark.ray, pytest.mark.slow]

PIPELINE = """
name: digits
stream: {{dataset: digits, setting: class-incremental, order: {order}}}
model: {{name: mlp, hidden: [32]}}
strategy:
  - {{name: ewc, lambda: 10, samples: 100}}
  - {{name: replay, capacity: 60, policy: class-balanced, weighting: experiences}}
train: {{epochs: 2, batch_size: 50, optimizer: {{name: adam, lr: 0.003}}}}
storage: {folder}/store
tracking: {{uri: "{tracking}"}}
"""


NOWHERE = "http://127.0.0.1:9"


def pipeline(folder: Path, *overrides: str, experiences: int = 3, tracking: str = NOWHERE) -> Pipeline:
    order = [[2 * k, 2 * k + 1] for k in range(experiences)]
    return load_text(PIPELINE.format(folder=folder, order=order, tracking=tracking), "digits.yaml", overrides)


def lineage(made: Pipeline) -> Lineage:
    return Lineage(open_store(made.storage), made.name)


def tensors(made: Pipeline, commit: str) -> dict[str, torch.Tensor]:
    kept = lineage(made)
    return dict(kept.tensors(kept.read(commit).blobs["model"].sha256))


def weights(made: Pipeline, commit: str) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors(made, commit).values()])


def memory_ids(made: Pipeline, commit: str) -> list[int]:
    from strategies.memory.reservoir import Shard

    kept = lineage(made)
    memory = Memory(60, "class-balanced", made.seed)
    memory.restore(
        Shard(s.experience, kept.tensors(s.sha256), s.lengths) for s in kept.read(commit).memories["replay"].shards
    )
    return memory.tensors["ids"].tolist()


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    from orchestrator.cluster.connect import cluster
    from orchestrator.cluster.log_levels import quiet

    quiet()
    four = load_text("name: x\nstream: {dataset: digits}\nmodel: mlp\nscaling: {workers: 4}\n").scaling
    with cluster(None, four):
        yield


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[Path], str], ray_cluster: None
) -> tuple[Pipeline, RunResult]:
    """One worker, undisturbed: what everything else must equal."""
    folder = tmp_path_factory.mktemp("alone")
    made = pipeline(folder, tracking=new_database(folder / "mlflow.db"))
    return made, run(made)


def test_the_number_of_workers_changes_nothing(alone: tuple[Pipeline, RunResult], tmp_path: Path) -> None:
    expected, reference = alone
    made = pipeline(tmp_path)
    result = run(made, workers=2)
    assert result.lineage == reference.lineage
    assert result.accuracy_matrix == reference.accuracy_matrix
    for commit in result.lineage:
        assert memory_ids(made, commit) == memory_ids(expected, commit)
    torch.testing.assert_close(
        weights(made, result.lineage[-1]), weights(expected, result.lineage[-1]), rtol=1e-3, atol=1e-5
    )


def test_the_commits_are_those_of_this_process_to_the_bit(alone: tuple[Pipeline, RunResult], tmp_path: Path) -> None:
    made = pipeline(tmp_path)
    assert train(made) == alone[1].lineage
    for commit in alone[1].lineage:
        one, other = lineage(alone[0]).read(commit), lineage(made).read(commit)
        assert one.blobs == other.blobs and one.memories == other.memories and one.row == other.row


def test_two_workers_learn_in_lanes_from_given_weights_what_one_learns_until_a_loss_is_not_finite(
    tmp_path: Path,
) -> None:
    """They start from the same weights, and leave what is frozen. The loss ends the run, which keeps its commits."""
    stream_of_files(tmp_path / "data", experiences=3)
    text = (
        "name: lanes\nstream: {{dataset: {{name: parquet, path: {data}}}, setting: domain-incremental, lanes: 4, "
        "window: 2}}\nmodel: {{name: mlp, hidden: [8]}}\nstrategy: [{{name: replay, capacity: 60, "
        "policy: class-balanced}}]\ntrain: {{epochs: 2, batch_size: 7, optimizer: {{name: adam}}}}\n"
        "storage: {folder}/store\ntracking: {{uri: '{tracking}'}}\n"
    )
    lost = "train.per_experience={2: {optimizer: {name: sgd, lr: 3.0e+38}}}"  # the body is frozen
    together, alone = (
        load_text(text.format(data=tmp_path / "data", folder=tmp_path / name, tracking=NOWHERE), "lanes.yaml", last)
        for name, last in (("a", [lost]), ("b", []))
    )
    state = make_model(alone, make_stream(alone)).state_dict()
    torch.save({name: tensor * 1.5 for name, tensor in state.items()}, tmp_path / "w.pt")
    together, alone = (
        with_settings(made, {"model.weights": str(tmp_path / "w.pt"), "train.freeze": ["body.*"]})
        for made in (together, alone)
    )
    commits = train(alone)[:2]
    with pytest.raises(RunFailed, match=r"step .* of experience 2"):
        run(together, workers=2)
    latest = lineage(together).ref("latest")
    assert latest is not None and [commit.id for commit in lineage(together).chain(latest.commit)] == commits
    for commit in commits:
        assert memory_ids(together, commit) == memory_ids(alone, commit)
        there, here = (tensors(made, commit) for made in (together, alone))
        torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-5)
        for name, tensor in here.items():
            same = torch.equal(tensor, state[name] * 1.5), torch.equal(there[name], state[name] * 1.5)
            assert same == (name.startswith("body"),) * 2, name


def test_no_thread_is_left_that_could_touch_ray_after_its_end(alone: tuple[Pipeline, RunResult]) -> None:
    """One that lets go of an actor while Ray is shut down ends the process."""
    assert while_ray_lives(lambda: alone[1].trained) == 3
    assert not {thread.name for thread in threading.enumerate()} & {"everlearn-work", "everlearn-heartbeat"}


def test_a_second_run_trains_nothing(alone: tuple[Pipeline, RunResult]) -> None:
    made, first = alone
    again = run(made)
    assert (again.trained, again.reused) == (0, 3)
    assert again.accuracy_matrix == first.accuracy_matrix
    assert again.metrics == first.metrics
    assert again.tracking == first.tracking


def test_a_longer_stream_trains_only_what_is_new_and_other_settings_share_the_beginning(
    alone: tuple[Pipeline, RunResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process, whose commits are those of Ray's worker to the bit, as the test above shows.
    monkeypatch.setattr("orchestrator.training.in_process.runs_in_this_process", lambda *_: True)
    _, reference = alone
    short = pipeline(tmp_path, experiences=2)
    first = train(short)
    assert first == reference.lineage[:2]
    longer_stream = pipeline(tmp_path)
    longer = run(longer_stream)
    assert (longer.trained, longer.reused) == (1, 2)
    assert longer.lineage == reference.lineage
    torch.testing.assert_close(
        weights(short, longer.lineage[-1]), weights(alone[0], longer.lineage[-1]), rtol=0, atol=0
    )
    # The columns of the new experience are completed, where a metric needs them.
    assert longer.accuracy_matrix[1:] == reference.accuracy_matrix[1:]
    for name in longer.metrics.keys() - {"training_seconds"}:
        assert longer.metrics[name] == reference.metrics[name], name
    kept = set(lineage(longer_stream).commits())
    other = train(pipeline(tmp_path, "strategy.ewc.lambda=0.5", "strategy.replay.ratio=0.3", experiences=2))
    assert other[0] == first[0]
    assert set(lineage(longer_stream).commits()) - kept == {other[1]}


def test_ray_exports_every_metric_under_the_name_that_the_dashboard_uses() -> None:
    import ray

    (node,) = ray.nodes()
    telemetry = Telemetry("demo")
    first, second = chain([[0.9, 0.1], [0.6, 0.8]])
    telemetry.start({"pipeline": "demo", "experiences": 2, "chain": [first]})
    for event in (ExperienceStarted(1, 10), StepDone(1, 1, 10, 0.5, rate=12.0)):
        telemetry.event(event)
    telemetry.event(CommitWritten(second, 0.2))
    wanted = {f"ray_{name}" for name in GAUGES} | {f"ray_{COMMIT_SECONDS}_count"}
    found: dict[str, float] = {}
    for _ in range(60):
        found = _exported(node["MetricsExportPort"])
        if wanted <= set(found):
            break
        time.sleep(1)
    assert found["ray_everlearn_experience"] == 1
    assert found["ray_everlearn_samples_per_second"] == 12
    assert found["ray_everlearn_average_accuracy"] == pytest.approx(0.7)
    assert found["ray_everlearn_forgetting"] == pytest.approx(0.3)
    assert found["ray_everlearn_memory_samples"] == 7
    assert found["ray_everlearn_metric forgetting"] == pytest.approx(0.3)
    assert found["ray_everlearn_metric backward_transfer"] == pytest.approx(-0.3)
    assert found[f"ray_{COMMIT_SECONDS}_count"] == 1


def _exported(port: int) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        if 'pipeline="demo"' in line:
            name, value = line.partition("{")[0], float(line.rpartition(" ")[2])
            found[name] = value
            for metric in re.findall(r'\bmetric="(\w+)"', line):
                found[f"{name} {metric}"] = value
    return found
