"""A model's state in parts."""

from __future__ import annotations

import pytest
import torch

from strategies.networks.frozen_parts import join_model, split_model

STATE = {name: torch.tensor(number) for number, name in enumerate(["columns.0.a", "columns.1.a", "columns.10.a", "b"])}


def test_parts_come_together_again() -> None:
    groups = split_model(STATE, {"column.0": "columns.0.", "column.1": "columns.1."})
    assert {group: list(tensors) for group, tensors in groups.items()} == {
        "model": ["columns.10.a", "b"],
        "model.column.0": ["columns.0.a"],
        "model.column.1": ["columns.1.a"],
    }
    assert join_model({**groups, "optimizer": {"b/step": torch.ones(())}, "modelling": {}}) == STATE


def test_a_model_without_parts_is_one_group() -> None:
    assert split_model(STATE, {}) == {"model": STATE}
    assert join_model({"model": STATE}) == STATE


def test_a_model_that_is_all_parts_has_an_empty_group() -> None:
    groups = split_model(STATE, {"all": ""})
    assert groups == {"model": {}, "model.all": STATE} and join_model(groups) == STATE


def test_a_tensor_in_two_parts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model\.x holds tensors that the model has elsewhere"):
        join_model({"model": STATE, "model.x": {"b": torch.ones(())}})
    with pytest.raises(KeyError):
        join_model({"model.x": STATE})
