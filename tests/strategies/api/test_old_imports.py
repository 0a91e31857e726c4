"""Plug-ins written for 0.1 keep working."""

import importlib
import sys

import pytest

import strategies
from strategies.api.old_imports import MOVED


@pytest.mark.parametrize("name", sorted(MOVED))
def test_a_module_of_0_1_gives_the_same_objects_and_warns(name: str) -> None:
    sys.modules.pop(f"strategies.{name}", None)
    with pytest.warns(DeprecationWarning, match=rf"strategies\.{name} is now strategies\.{MOVED[name]}"):
        old = importlib.import_module(f"strategies.{name}")
    new = importlib.import_module(f"strategies.{MOVED[name]}")
    public = [each for each in vars(new) if not each.startswith("_")]
    assert public and all(getattr(old, each) is getattr(new, each) for each in public)


@pytest.mark.parametrize(
    "line", ["memory import Memory, Shard", "importance import mean_importance", "projection import project"]
)
def test_modules_that_are_folders_now_give_the_old_names(line: str) -> None:
    folder, _, names = line.partition(" import ")
    module = importlib.import_module(f"strategies.{folder}")
    assert all(callable(getattr(module, name)) for name in names.split(", "))


def test_what_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("strategies.nothing")


def test_the_public_names_exist() -> None:
    assert all(getattr(strategies, name) is not None for name in strategies.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = strategies.Nothing  # type: ignore[attr-defined]
