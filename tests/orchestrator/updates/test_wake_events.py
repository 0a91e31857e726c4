"""Events wake a watch, by HTTP and from a queue.

Covers: `orchestrator/updates/small_http_server.py`
"""

from __future__ import annotations

import json
import threading
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from orchestrator.errors import StorageError
from orchestrator.updates import wake_events
from orchestrator.updates.wake_events import Alarm, Queue, Webhook

LONG = 60.0


@pytest.fixture(autouse=True)
def no_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake_events, "GATHER_S", 0.0)


def test_an_event_ends_the_pause_and_another_look_is_taken_when_the_file_is_complete() -> None:
    alarm = Alarm(again_after=0.05)
    alarm.ring()
    alarm.ring()
    alarm.wait(LONG)  # for the events
    alarm.wait(LONG)  # for the age of their files
    assert not alarm.is_set()
    waiting = threading.Thread(target=alarm.wait, args=(LONG,))
    waiting.start()
    waiting.join(0.3)
    assert waiting.is_alive()  # nothing more to look at
    alarm.set()
    waiting.join(LONG)
    assert alarm.is_set() and not waiting.is_alive()


def test_an_event_during_a_step_is_not_lost() -> None:
    alarm = Alarm()
    threading.Thread(target=alarm.ring).start()
    alarm.wait(LONG)
    before = time.monotonic()
    alarm.wait(0.05)
    assert time.monotonic() - before >= 0.05 - 0.01


def post(url: str, body: bytes = b"{}", **headers: str) -> int:
    try:
        with urlopen(Request(url, body, headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_post_is_an_event(host: str) -> None:
    rung: list[int] = []
    server = Webhook(host, 0, lambda: rung.append(1), "secret")
    try:
        url = f"http://{server.address}/any/path"
        assert [post(url), post(url, Authorization="Bearer wrong"), len(rung)] == [401, 401, 0]
        assert [post(url, b"x" * 100_000, Authorization="Bearer secret"), len(rung)] == [202, 1]
        with pytest.raises(HTTPError, match="501"):
            urlopen(url, timeout=10)
    finally:
        server.close()


@pytest.mark.parametrize("url", ["arrivals", "http://[", "https://sqs..amazonaws.com/1/arrivals", ""])
def test_what_is_no_address_of_a_queue_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"cannot be read: .*\nCorrect --queue"):
        Queue(url, lambda: None, lambda error: None)


def test_a_message_of_a_queue_is_an_event_and_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wake_events, "_POLL_S", 1)
    client = boto3.client("sqs", region_name="eu-central-1")
    url = client.create_queue(QueueName="arrivals")["QueueUrl"]
    alarm, failures = Alarm(), []
    queue = Queue(url, alarm.ring, failures.append)
    try:
        client.send_message(QueueUrl=url, MessageBody=json.dumps({"Records": [{"eventName": "ObjectCreated:Put"}]}))
        alarm.wait(LONG)
        for _ in range(200):
            left = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            if {left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]} == {"0"}:
                break
            time.sleep(0.05)
        else:
            pytest.fail(f"the message was not removed: {left}")
        client.delete_queue(QueueUrl=url)
        for _ in range(200):
            if failures:
                break
            time.sleep(0.05)
        assert "cannot be read" in str(failures[0]) and "sqs:ReceiveMessage" in str(failures[0])
        with pytest.raises(StorageError, match=r"arrivals: cannot be read: .*NonExistentQueue"):
            Queue(url, alarm.ring, failures.append)
    finally:
        queue.close()
        server.stop()
