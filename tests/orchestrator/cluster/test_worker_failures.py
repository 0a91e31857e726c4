"""How worker failures are described, from what Ray reports of them."""

from __future__ import annotations

import pytest
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError
from torch.distributed import DistNetworkError

from orchestrator.cluster.worker_failures import failures_in_words

KILLED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
MEMORY = (
    "3 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 42ed) was "
    "10.34GB used / 23.54GB limit (0.439298)"
)
NODE = "The actor died because its node has died. Node Id: 42ed\n\tthe actor's node was terminated expectedly"


CLOSED = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:22411"


def died(text: str) -> BaseException:
    error: BaseException = WorkerHealthCheckFailedError("A worker health check failed.", RuntimeError(text))
    return error


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ({0: died(KILLED)}, "worker 0 failed: it was killed, or it crashed"),
        ({1: died(MEMORY)}, "worker 1 failed: the node ran out of memory (10.34GB of 23.54GB used)"),
        ({3: died(NODE), 2: died(NODE)}, "workers 2, 3 failed: its node was lost"),
        ({0: RuntimeError("gloo: connection reset"), 1: died(KILLED)}, "worker 1 failed: it was killed, or it crashed"),
        ({0: WorkerHealthCheckTimeoutError("no answer")}, "worker 0 failed: it does not answer"),
        ({0: died(NODE), 1: died(KILLED)}, "worker 0 failed: its node was lost; worker 1 failed: it was killed, or it"),
        ({0: ValueError("the actor of this play has died")}, ""),
        ({1: RuntimeError(CLOSED), 0: DistNetworkError("timed out")}, "a worker was lost: workers 0, 1 can no longer"),
        ({0: ValueError("no gloo here")}, ""),
        ({}, ""),
    ],
)
def test_one_line_for_a_person(errors: dict[int, BaseException], told: str) -> None:
    assert failures_in_words(errors).startswith(told) and bool(failures_in_words(errors)) == bool(told)
    assert "\n" not in failures_in_words(errors)
