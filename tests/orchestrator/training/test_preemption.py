"""Preemption notices. That the notice of a real Ray arrives is tested in tests/faults/test_ray.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.train.v2._internal.execution import context

from orchestrator.training.preemption import preempted


@pytest.mark.parametrize("info", [None, object()])
def test_it_is_what_the_worker_was_told(info: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(preemption_context=SimpleNamespace(preemption_info=info))
    monkeypatch.setattr(context, "get_train_context", lambda: told)
    assert preempted() is (info is not None)


def test_outside_of_ray_train_and_with_another_ray_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preempted() is False
    monkeypatch.setattr(context, "get_train_context", lambda: SimpleNamespace())
    assert preempted() is False
    monkeypatch.delattr(context, "get_train_context")
    assert preempted() is False
