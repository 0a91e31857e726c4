"""The store's place for Ray."""

import pickle
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.ray_filesystem import ray_filesystem
from tests.s3.server import S3Server, use


def test_a_folder_needs_no_file_system(tmp_path: Path) -> None:
    assert ray_filesystem(str(tmp_path / "store")) == (None, str(tmp_path / "store"))


@pytest.mark.s3
def test_ray_and_the_store_see_the_same_objects(s3_uri: str) -> None:
    filesystem, path = ray_filesystem(f"{s3_uri}/prefix")
    assert filesystem is not None
    with filesystem.open_output_stream(f"{path}/runs/x") as file:
        file.write(b"from ray")
    store = open_store(f"{s3_uri}/prefix")
    assert store.get("runs/x") == b"from ray"
    store.put("runs/y", b"from us")
    with filesystem.open_input_stream(f"{path}/runs/y") as file:
        assert file.read() == b"from us"


@pytest.mark.s3
def test_credentials_are_not_pickled_but_found_again(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    filesystem, path = ray_filesystem(s3_uri)
    pickled = pickle.dumps(filesystem)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert s3_server.environment[name].encode() not in pickled
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    again = pickle.loads(pickled)
    with again.open_output_stream(f"{path}/key") as file:
        file.write(b"1")
    assert pickle.dumps(again) == pickled
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.environment["AWS_ENDPOINT_URL"])
    assert open_store(s3_uri).get("key") == b"1"


def test_endpoints_that_pyarrow_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    use({"AWS_ENDPOINT_URL": "http://host/path", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, monkeypatch)
    with pytest.raises(StorageError, match="an endpoint with a path"):
        ray_filesystem("s3://bucket")
