"""Several requests at once."""

import threading
import time

import pytest

from orchestrator.storage.parallel_requests import in_order, in_parallel


def test_order_is_kept() -> None:
    assert in_parallel(lambda n: n * n, range(50), 8) == [n * n for n in range(50)]
    assert in_parallel(lambda n: n, [], 8) == []


def test_at_most_so_many_at_once() -> None:
    running, most, lock, together = 0, 0, threading.Lock(), threading.Barrier(3, timeout=120)

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    in_parallel(work, range(21), 3)
    assert most == 3


def test_a_failure_stops_what_has_not_begun() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise KeyError(number)
        time.sleep(0.05)

    with pytest.raises(KeyError):
        in_parallel(work, range(100), 2)
    assert len(begun) < 20


def test_few_are_begun_before_the_first_is_taken_and_none_after_a_failure() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return 1 // (number - 20)

    found = in_order(work, range(100), 2)
    assert [next(found) for _ in range(5)] == [1 // (n - 20) for n in range(5)]
    assert max(begun) <= 6
    with pytest.raises(ZeroDivisionError):
        list(found)
    assert max(begun) <= 22 and list(in_order(abs, [], 2)) == []
