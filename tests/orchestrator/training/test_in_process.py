"""A run with one worker in this process: the same commits as by Ray, and nothing of Ray."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from orchestrator.errors import OrchestratorError, RunFailed
from orchestrator.events import CommitWritten, Event, ExperienceStarted
from orchestrator.lineage.lineage import Lineage
from orchestrator.lineage.plan import make_plan
from orchestrator.storage.open_by_uri import open_store
from orchestrator.training.in_process import runs_here, train_in_process
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline
from pipelines.config.sections.scaling_section import ScalingSpec
from pipelines.data.streams import build_stream

TEXT = """
name: digits
stream: {{dataset: digits, setting: class-incremental, order: [[0, 1], [2, 3]]}}
model: {{name: mlp, hidden: [16]}}
strategy: [{{name: ewc, lambda: 10, samples: 50}}, {{name: replay, capacity: 40}}]
train: {{steps: 12, batch_size: 16, checkpoint_every: 5}}
storage: {folder}/store
tracking: {{uri: "http://127.0.0.1:9"}}
"""


def pipeline(folder: Path, *settings: str) -> Pipeline:
    return load_text(TEXT.format(folder=folder), "digits.yaml", settings)


def train(made: Pipeline, handler: object = lambda event: None) -> Lineage:
    stream = build_stream(made.stream, made.seed)
    lineage = Lineage(open_store(made.storage), made.name)
    train_in_process(made, stream, make_plan(made, stream), lineage, handler)  # type: ignore[arg-type]
    return lineage


ONE = {"workers": 1}


@pytest.mark.parametrize(
    ("scaling", "address", "environment", "connected", "gpus", "here"),
    [
        (ONE, None, {}, False, 0, True),
        (ONE, "", {}, False, 0, True),
        (ONE, "local", {}, False, 0, False),
        (ONE, "10.0.0.1:6379", {}, False, 0, False),
        (ONE, None, {"RAY_ADDRESS": "10.0.0.1:6379"}, False, 0, False),
        (ONE, None, {"RAY_ADDRESS": ""}, False, 0, True),
        (ONE, None, {}, True, 0, False),
        ({"workers": 2}, None, {}, False, 0, False),
        ({"workers": [1, 2]}, None, {}, False, 0, False),
        (ONE | {"resources": {"CPU": 2}}, None, {}, False, 0, True),
        (ONE | {"resources": {"fast_disk": 1}}, None, {}, False, 0, False),
        (ONE | {"gpu": True}, None, {}, False, 0, False),
        (ONE | {"gpu": True}, None, {}, False, 1, True),
    ],
)
def test_which_runs_need_no_ray(
    scaling: dict[str, object],
    address: str | None,
    environment: dict[str, str],
    connected: bool,
    gpus: int,
    here: bool,
) -> None:
    spec = ScalingSpec.model_validate(scaling)
    assert runs_here(spec, address, environment, connected=connected, gpus=gpus) is here


# Matplotlib draws the figures, PyTorch's compiler exports the model. The database of MLflow is written without MLflow,
# which would bring pandas, pyarrow and SQLAlchemy along.
NOT_NEEDED = ("ray", "sklearn", "boto3", "optuna", "mlflow", "flask", "pandas", "pyarrow", "sqlalchemy")


def test_nothing_of_ray_is_loaded_nor_what_else_a_run_does_not_need(tmp_path: Path) -> None:
    text = TEXT.format(folder=tmp_path).replace("http://127.0.0.1:9", "sqlite:///.everlearn/mlflow.db")
    (tmp_path / "digits.yaml").write_text(text)
    code = (
        "import sys; from orchestrator import load_pipeline, run\n"
        "result = run(load_pipeline('digits.yaml'))\n"
        f"print(result.trained, [name for name in {NOT_NEEDED!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=250)
    assert done.stdout == "2 []\n", done.stderr


def test_events_come_one_at_a_time_and_threads_are_as_before(tmp_path: Path) -> None:
    busy = threading.Lock()
    kinds: list[type[Event]] = []
    threads: set[int] = set()

    def handler(event: Event) -> None:
        assert busy.acquire(blocking=False)
        kinds.append(type(event))
        threads.add(torch.get_num_threads())
        busy.release()

    before = torch.get_num_threads()
    train(pipeline(tmp_path, "scaling.resources={CPU: 3}"), handler)
    assert kinds.count(CommitWritten) == kinds.count(ExperienceStarted) == 2
    assert threads == {3} and torch.get_num_threads() == before


@pytest.mark.parametrize("kind", [ExperienceStarted, CommitWritten])
def test_a_handler_that_fails_ends_the_training_and_its_error_is_raised(tmp_path: Path, kind: type[Event]) -> None:
    calls: list[Event] = []

    def handler(event: Event) -> None:
        calls.append(event)
        if isinstance(event, kind):
            raise OrchestratorError("enough")

    with pytest.raises(OrchestratorError, match="enough"):
        train(pipeline(tmp_path), handler)
    assert isinstance(calls[-1], kind)
    assert train(pipeline(tmp_path)).ref("latest") is not None


OWN = '''
from strategies import Strategy


class Wrong(Strategy):
    """Fails in the first step."""

    def after_step(self, learner):
        return learner.labels
'''


def test_an_error_in_a_strategy_of_ones_own_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong_here.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RunFailed, match="AttributeError: 'Learner' object has no attribute 'labels'") as caught:
        train(pipeline(tmp_path, "strategy=wrong_here:Wrong"))
    assert str(caught.value).splitlines()[1] == f"{tmp_path / 'wrong_here.py'}:9: return learner.labels"
    assert isinstance(caught.value.__cause__, AttributeError)
