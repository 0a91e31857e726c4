"""What only S3 can do wrong, on a real server; where that cannot misbehave, through a proxy that does."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.auth
import pytest

from orchestrator.errors import StorageError
from orchestrator.storage import s3_client, s3_store
from orchestrator.storage.open_by_uri import open_store
from orchestrator.storage.parallel_requests import in_parallel
from orchestrator.storage.ray_filesystem import ray_filesystem
from tests.s3.proxy import FaultyProxy, Rule, first
from tests.s3.server import S3Server, use

BIG = 20 * 2**20 + 7


def _secretless(message: str, server: S3Server) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert server.environment[name] not in message


@pytest.mark.s3
def test_a_missing_bucket(s3_server: S3Server) -> None:
    store = open_store("s3://no-such-bucket/prefix")
    calls: list[Callable[[], Any]] = [
        store.check,
        lambda: store.get("key"),
        lambda: store.put("key", b""),
        lambda: store.put_if_absent("key", b""),
        lambda: store.put("key", b"x" * BIG),
        lambda: list(store.list()),
        lambda: list(store.folders()),
        lambda: store.delete_folder("x"),
    ]
    for call in calls:
        with pytest.raises(StorageError, match=r"s3://no-such-bucket.*the bucket does not exist. Create it"):
            call()


@pytest.mark.s3
@pytest.mark.parametrize("name", ["a b", "a%41b", "what?", "#1", "a+b", "é&=;", "100%"])
def test_keys_are_taken_as_they_are(name: str, s3_uri: str) -> None:
    """Neither quoted nor unquoted on the way: by this store, in listings, and by pyarrow, through which Ray writes."""
    bucket, _, prefix = s3_uri.removeprefix("s3://").partition("/")
    # A URI with ? or # has no such prefix: it is refused.
    place = name if not set("?#") & set(name) else "x"
    store = open_store(f"{s3_uri}/{place}")
    key = f"{name}/{name}.bin"
    store.put(key, b"1")
    assert not store.put_if_absent(key, b"2")
    (_, version) = store.read_versioned(key) or (b"", "")
    assert store.compare_and_swap(key, b"3", version)
    assert (store.get(key), list(store.list()), list(store.folders())) == (b"3", [key], [name])
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    assert [one["Key"] for one in listed] == [f"{prefix}/{place}/{key}".removeprefix("/")]
    filesystem, path = ray_filesystem(f"{s3_uri}/{place}")
    assert filesystem is not None and filesystem.open_input_file(f"{path}/{key}").read() == b"3"
    store.delete(key)
    assert list(store.list()) == []


@pytest.mark.parametrize("end", ["what?x", "what?", "#1", "a#"])
def test_a_uri_with_a_query_or_a_fragment_is_refused(end: str) -> None:
    with pytest.raises(StorageError, match="write s3://bucket/prefix"):
        open_store(f"s3://bucket/{end}")


@pytest.mark.s3
def test_wrong_credentials(s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-planted-here")
    with pytest.raises(StorageError, match=r"the secret key is wrong. Check AWS_ACCESS_KEY_ID") as caught:
        open_store(s3_uri).check()
    assert "planted" not in str(caught.value)
    _secretless(str(caught.value), s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown-key-planted-here")
    with pytest.raises(StorageError, match="does not know the access key") as caught:
        open_store(s3_uri).check()
    assert "planted" not in str(caught.value)


@pytest.mark.s3
def test_no_permission(s3_uri: str, s3_server: S3Server) -> None:
    bucket = urlsplit(s3_uri).netloc
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject",'
        f'"Resource":"arn:aws:s3:::{bucket}/*"}}]}}'
    )
    client = boto3.client("s3")
    client.put_bucket_policy(Bucket=bucket, Policy=policy)
    try:
        with pytest.raises(StorageError, match=r"cannot write: permission denied.*\n.*s3:DeleteObject") as caught:
            open_store(s3_uri).put("key", b"")
        assert f"{s3_uri}/key" in str(caught.value)
        with pytest.raises(StorageError, match="permission denied"):
            open_store(s3_uri).check()
    finally:
        client.delete_bucket_policy(Bucket=bucket)


@pytest.mark.s3
def test_a_wrong_clock(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = botocore.auth.get_current_datetime  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: real(*a, **k) - timedelta(hours=3))
        with pytest.raises(StorageError, match="clock differs too much"):
            open_store(s3_uri).check()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, monkeypatch)
    with pytest.raises(StorageError, match=r"s3://bucket.*no AWS credentials were found"):
        open_store("s3://bucket").check()


def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    use({"AWS_PROFILE": "nobody"}, monkeypatch)
    with pytest.raises(StorageError, match=r"nobody.*Correct AWS_PROFILE"):
        open_store("s3://bucket").check()


def test_an_endpoint_that_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    use({"AWS_ENDPOINT_URL": "localhost", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, monkeypatch)
    with pytest.raises(StorageError, match="Invalid endpoint"):
        open_store("s3://bucket").check()


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        use({"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, monkeypatch)
        with pytest.raises(StorageError, match=f"no answer from {url}") as caught:
            open_store("s3://bucket").check()
    assert "AWS_ENDPOINT_URL" in str(caught.value)


class _OtherServer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        page = b"<html><body>Welcome<br>to another service</body></html>"
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("status", [200, 404])
def test_another_service_at_the_endpoint(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(_OtherServer, "status", status)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _OtherServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        use({"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}, monkeypatch)
        with pytest.raises(StorageError, match=f"{url} answers.*, but not as an S3 server does"):
            open_store("s3://bucket").check()
        if status == 404:  # 200 may be an answer that was cut off, and is asked for again for two minutes
            with pytest.raises(StorageError, match=f"{url} answers.*, but not as an S3 server does"):
                list(open_store("s3://bucket").list())
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _behind(server: S3Server, rule: Rule, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(server.port, rule).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.mark.s3
@pytest.mark.parametrize("size", [10, BIG])
def test_a_write_whose_answer_was_lost_has_still_won(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    method = "PUT" if size < s3_store.PART else "POST"
    decisive = "uploadId" if method == "POST" else ""
    with _behind(s3_server, first(1, "lose answer", method, decisive), monkeypatch) as proxy:
        store = open_store(s3_uri)
        assert store.put_if_absent("key", b"a" * size)
        assert not store.put_if_absent("key", b"b" * size)
    assert "lose answer" in [fault for _, _, fault in proxy.seen]
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.environment["AWS_ENDPOINT_URL"])
    assert open_store(s3_uri).get("key") == b"a" * size


@pytest.mark.s3
def test_a_swap_whose_answer_was_lost_has_still_won(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store(s3_uri).put("key", b"1")
    with _behind(s3_server, first(1, "lose answer", "PUT"), monkeypatch):
        store = open_store(s3_uri)
        found = store.read_versioned("key")
        assert found is not None
        assert store.compare_and_swap("key", b"2", found[1])
        assert not store.compare_and_swap("key", b"2", found[1])


@pytest.mark.s3
@pytest.mark.parametrize(
    ("fault", "methods"),
    [
        ("refuse", ["PUT", "GET", "HEAD", "POST", "DELETE"]),
        ("lose answer", ["PUT", "GET", "HEAD", "POST", "DELETE"]),
        ("slow down", ["PUT", "GET"]),
    ],
)
def test_passing_failures_are_waited_out(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, fault: str, methods: list[str]
) -> None:
    data = b"".join(number.to_bytes(4, "little") for number in range(BIG // 4))
    for method in methods:
        with _behind(s3_server, first(2, fault, method), monkeypatch):
            store = open_store(s3_uri)
            store.put("small", b"x")
            store.put("big", data)
            assert store.get("big") == data and store.get("small") == b"x"
            assert store.exists("big") and list(store.list()) == ["big", "small"]
            store.delete("big")
            store.delete_folder("small")


@pytest.mark.s3
def test_a_download_cut_in_the_middle_is_tried_again(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"0123456789" * (BIG // 10)
    open_store(s3_uri).put("big", data)
    with _behind(s3_server, first(3, "half answer", "GET"), monkeypatch) as proxy:
        assert open_store(s3_uri).get("big") == data
        found = open_store(s3_uri).read_versioned("big")
        assert found is not None and found[0] == data
    assert [fault for _, _, fault in proxy.seen].count("half answer") == 3


@pytest.mark.s3
def test_lasting_failure_is_an_error_in_bounded_time(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_client, "PATIENT_ATTEMPTS", 3)
    monkeypatch.setattr(s3_client, "PATIENCE_S", 0.5)
    busy = _behind(s3_server, first(10**9, "slow down", "PUT"), monkeypatch)
    with busy, pytest.raises(StorageError, match="overloaded or failing"):
        open_store(s3_uri).put("key", b"")
    with _behind(s3_server, lambda *_: "refuse", monkeypatch), pytest.raises(StorageError, match="no answer from"):
        open_store(s3_uri).put("key", b"")


@pytest.mark.s3
def test_a_failed_upload_in_parts_leaves_no_parts(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_client, "PATIENT_ATTEMPTS", 2)
    monkeypatch.setattr(s3_client, "PATIENCE_S", 0.5)
    busy = _behind(s3_server, first(10**9, "slow down", "PUT", "partNumber=2"), monkeypatch)
    with busy, pytest.raises(StorageError, match="overloaded"):
        open_store(s3_uri).put("big", b"x" * BIG)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.environment["AWS_ENDPOINT_URL"])
    uploads = boto3.client("s3").list_multipart_uploads(Bucket=urlsplit(s3_uri).netloc)
    assert "Uploads" not in uploads
    assert list(open_store(s3_uri).list()) == []


@pytest.mark.s3
def test_a_server_that_crashes_and_comes_back(s3_server_of_its_own: S3Server) -> None:
    boto3.client("s3").create_bucket(Bucket="bucket")
    store = open_store("s3://bucket")
    assert store.put_if_absent("before", b"1")
    s3_server_of_its_own.crash()
    back = threading.Timer(1.0, s3_server_of_its_own.start)
    back.start()
    try:
        assert store.put_if_absent("during", b"2")
        assert store.get("before") == b"1"
    finally:
        back.join()
    assert list(store.list()) == ["before", "during"]


@pytest.mark.s3
def test_many_requests_side_by_side_wait_as_long_as_one(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's own quota of retries is used up within a second, when all of them fail."""
    names = [f"key-{number}" for number in range(40)]
    store = open_store(s3_uri)
    for name in names:
        store.put(name, name.encode())
    back = time.monotonic() + 4.0
    away = _behind(s3_server, lambda *_: "refuse" if time.monotonic() < back else None, monkeypatch)
    with away as proxy:
        assert in_parallel(open_store(s3_uri).get, names, 8) == [name.encode() for name in names]
    assert [fault for _, _, fault in proxy.seen].count("refuse") > 40


@pytest.mark.s3
def test_objects_of_other_programs_are_left_alone(s3_uri: str) -> None:
    client = boto3.client("s3")
    for key in ("runs/", "runs/x/", "runs//y", "runs/./z", "top\x7f"):
        client.put_object(Bucket=urlsplit(s3_uri).netloc, Key=key, Body=b"")
    store = open_store(s3_uri)
    store.put("runs/x/real", b"")
    assert [key for key in store.list() if key.startswith("runs")] == ["runs/x/real"]
    # Empty objects that stand for folders are made by pyarrow: they go with the folder.
    store.delete_folder("runs")
    assert [found["Key"] for found in client.list_objects_v2(Bucket=urlsplit(s3_uri).netloc)["Contents"]] == ["top\x7f"]


@pytest.mark.s3
def test_prefixes_do_not_see_each_other(s3_uri: str) -> None:
    one, two = open_store(f"{s3_uri}/a"), open_store(f"{s3_uri}/ab")
    one.put("key", b"1")
    two.put("key", b"2")
    assert one.get("key") == b"1" and list(one.list()) == ["key"]
    assert list(open_store(s3_uri).list()) == ["a/key", "ab/key"]
