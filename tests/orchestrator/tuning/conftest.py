import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.cluster.log_levels import quiet
from pipelines.config.load import load_text
from pipelines.config.schema import Pipeline

# Nothing answers there: tracking is not what these tests are about, and costs no time.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="package")
def cluster() -> Iterator[None]:
    """A Ray of two CPUs for all tests of this package."""
    quiet()
    os.environ.update(
        RAY_worker_niceness="0",
        RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="0.2",
        RAY_TRAIN_ENABLE_PREEMPTION_WATCHER="0",
        RAY_CHDIR_TO_TRIAL_DIR="0",
    )
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    gc.collect()
    ray.shutdown()


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """A context in which whoever wants a Ray cluster fails."""

    @contextmanager
    def none() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr("orchestrator.cluster.connect.cluster", lambda *_, **__: pytest.fail("Ray was wanted"))
            yield

    return none


def document(folder: Path, tune: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """A pipeline of five small experiences that keeps everything below `folder`."""
    content = {
        "name": "small",
        "stream": {"dataset": "digits", "experiences": 5},
        "model": {"name": "mlp", "hidden": [16]},
        "strategy": [{"name": "ewc", "lambda": 10}, {"name": "replay", "capacity": 100, "ratio": 0.5}],
        "train": {"epochs": 1, "batch_size": 32},
        "storage": str(folder / "store"),
        "tracking": {"uri": NOWHERE},
        **({"tune": tune} if tune else {}),
    }
    return {**content, **changes}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Pipeline]:
    """Makes the pipeline of `document`, with this `tune` section."""

    def pipeline(tune: dict[str, Any] | None = None, **changes: Any) -> Pipeline:
        return load_text(yaml.safe_dump(document(tmp_path, tune, **changes)))

    return pipeline
