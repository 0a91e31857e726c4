"""Events as plain data and back."""

from __future__ import annotations

import dataclasses
import json
import typing

import pytest

from orchestrator.events import CommitWritten, Event, GroupStarted, Resumed, StepDone, from_dict, to_dict

KINDS = [kind for kind in Event.__subclasses__() if kind is not GroupStarted]
VALUES = {int: 3, float: 0.5, str: "a", bool: True, typing.Any: None}


def example(kind: type[Event]) -> Event:
    hints = typing.get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):
        hint = next((one for one in typing.get_args(hints[field.name]) if one is not type(None)), hints[field.name])
        values[field.name] = VALUES.get(hint, {"id": "x"})
    return kind(**values)


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_comes_back_from_json(kind: type[Event]) -> None:
    event = example(kind)
    assert from_dict(json.loads(json.dumps(to_dict(event)))) == event
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, dataclasses.fields(kind)[0].name, None)


def test_kinds_are_different_names() -> None:
    kinds = [kind.kind for kind in Event.__subclasses__()]
    assert len(set(kinds)) == len(kinds) >= 11 and all(kinds)


def test_what_a_newer_version_adds_is_ignored() -> None:
    assert from_dict({"kind": "resumed", "index": 1, "step": 2, "why": "a new field"}) == Resumed(1, 2)
    assert from_dict({"kind": "of-a-newer-version", "index": 1}) is None


def test_what_an_older_version_does_not_say_has_its_default() -> None:
    event = from_dict({"kind": "step", "index": 1, "step": 2, "steps": 3, "loss": 0.5})
    assert event == StepDone(1, 2, 3, 0.5, loss_step=None, rate=None, time=0)
    assert from_dict({"kind": "commit", "commit": {}}) == CommitWritten({}, None)


@pytest.mark.parametrize("data", [{}, {"kind": "resumed"}, {"kind": "step", "index": 1}])
def test_what_is_no_event_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError)):
        from_dict(data)
