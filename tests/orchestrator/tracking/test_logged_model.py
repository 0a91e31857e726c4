"""The model in MLflow."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from torch import nn

from orchestrator.tracking.logged_model import ExportFailed, Owner, find_model, log_model, register_model, warm_up
from orchestrator.tracking.mlflow_client import connect, experiment_id
from pipelines.models.build_model import build_model
from tests.orchestrator.tracking.models import small_model, wayward_model
from tests.orchestrator.tracking.stores import rows


@pytest.fixture
def owner(uri: str) -> Owner:
    client = connect(uri)
    experiment = experiment_id(client, uri, "split-digits")
    return Owner(experiment, client.create_run(experiment).info.run_id, "c0ffee", 4, {"everlearn.pipeline": "x"})


def test_loads_and_computes_the_same_for_any_batch(uri: str, owner: Owner) -> None:
    model_id = log_model(connect(uri), owner, small_model)
    model, _ = small_model()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pytorch.load_model(f"models:/{model_id}")
        for batch in (1, 2, 33):
            x = torch.rand(batch, 1, 4, 4)
            assert loaded(x).allclose(model.eval()(x), atol=1e-6)
        served = mlflow.pyfunc.load_model(f"models:/{model_id}")
        assert served.predict(torch.rand(3, 1, 4, 4).numpy()).shape == (3, 4)
        assert served.metadata.run_id == owner.run_id
    finally:
        mlflow.set_tracking_uri(None)


def test_is_logged_once(uri: str, owner: Owner, database: Path) -> None:
    client = connect(uri)
    assert find_model(client, owner) is None
    first = log_model(client, owner, small_model)
    before = rows(database)
    assert log_model(client, owner, small_model) == first == find_model(client, owner)
    assert rows(database) == before


def test_continues_with_an_upload_that_was_broken_off(uri: str, owner: Owner) -> None:
    client = connect(uri)
    begun = client.create_logged_model(owner.experiment_id, "model", owner.run_id, {"everlearn.commit": owner.commit})
    assert find_model(client, owner) is None
    assert log_model(client, owner, small_model) == begun.model_id
    assert find_model(client, owner) == begun.model_id


def test_of_another_commit_is_another_model(uri: str, owner: Owner) -> None:
    client = connect(uri)
    other = Owner(owner.experiment_id, owner.run_id, "decade", 5, {})
    assert log_model(client, owner, small_model) != log_model(client, other, small_model)


def test_one_sample_as_an_example_is_enough(uri: str, owner: Owner) -> None:
    model_id = log_model(connect(uri), owner, lambda: (small_model()[0], torch.rand(1, 1, 4, 4)))
    path = Path(connect(uri).get_logged_model(model_id).artifact_location.removeprefix("file://"))
    loaded = mlflow.pytorch.load_model(str(path))
    assert loaded(torch.rand(7, 1, 4, 4)).shape == (7, 4)


def test_nothing_is_pickled(uri: str, owner: Owner) -> None:
    model_id = log_model(connect(uri), owner, small_model)
    path = Path(connect(uri).get_logged_model(model_id).artifact_location.removeprefix("file://"))
    names = {file.name for file in path.rglob("*") if file.is_file()}
    assert "MLmodel" in names
    assert not [name for name in names if name.endswith((".pkl", ".pth", ".pt"))]


def test_a_failed_export_leaves_nothing_behind(uri: str, owner: Owner, database: Path) -> None:
    with pytest.raises(ExportFailed) as caught:
        log_model(connect(uri), owner, wayward_model)
    assert len(str(caught.value)) < 250
    assert rows(database)["logged_models"] == []


def test_is_registered_once(uri: str, owner: Owner) -> None:
    client = connect(uri)
    model_id = log_model(client, owner, small_model)
    for _ in range(2):
        register_model(client, "digits", model_id, owner)
    (version,) = client.search_model_versions("name = 'digits'")
    assert version.tags["everlearn.commit"] == owner.commit


def drawn(input_shape: tuple[int, ...], outputs: int, *, preload: bool = False) -> nn.Module:
    """A model in whose first weights all random numbers of a process are, and beside which tracking warms up."""
    if preload:
        beside = threading.Thread(target=warm_up)
        beside.start()
        beside.join()
    model = nn.Linear(input_shape[0], outputs)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([random.random(), np.random.random()]))
    return model


def test_warming_up_draws_from_no_random_numbers_that_a_model_is_made_of() -> None:
    """The thread of tracking warms up while the thread of training makes its model, or draws dropout."""
    name = f"{__name__}:drawn"
    alone, beside = (build_model(name, {"preload": preload}, (4,), 2, seed=3) for preload in (False, True))
    assert all(map(torch.equal, alone.parameters(), beside.parameters()))


def test_warming_up_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it does, `torch.compiler.is_compiling()` is true in the thread that trains as well."""
    monkeypatch.setattr(torch.export, "export", lambda *arguments, **options: pytest.fail("it exports"))
    monkeypatch.setattr(torch, "compile", lambda *arguments, **options: pytest.fail("it compiles"))
    warm_up()
