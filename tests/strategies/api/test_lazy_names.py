"""Public names that are imported on first use."""

import sys

import pytest

from strategies.api.lazy_names import lazy_names


def test_a_name_is_imported_from_its_home_when_it_is_asked_for() -> None:
    get, listed = lazy_names("strategies.memory", {"herd": ".herding", "Decimal": "decimal"})
    assert listed() == ["Decimal", "herd"]
    herd = get("herd")
    assert herd is sys.modules["strategies.memory.herding"].herd
    assert get("Decimal").__module__ == "decimal"


def test_another_name_is_missing_as_from_any_module() -> None:
    get, _ = lazy_names("strategies.memory", {"herd": ".herding"})
    with pytest.raises(AttributeError, match=r"module 'strategies\.memory' has no attribute 'heard'"):
        get("heard")
