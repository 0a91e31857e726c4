"""Which keys a store accepts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import StorageError
from orchestrator.storage.object_keys import LONGEST_KEY, LONGEST_SEGMENT, RESERVED, checked_key, checked_prefix

WRONG = [
    "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.", "a\\b", "a\nb", "a\x00", "\ud800",
    f"{RESERVED}x", f"a/{RESERVED}lock/b", "a" * (LONGEST_SEGMENT + 1), "é" * (LONGEST_SEGMENT // 2 + 1),
    "/".join(["a" * 250] * 4),
]  # fmt: skip


@pytest.mark.parametrize("key", WRONG)
def test_a_key_that_could_leave_the_store_or_that_some_store_does_not_take_is_refused(key: str) -> None:
    with pytest.raises(StorageError, match="is not a valid storage key"):
        checked_key(key)
    if key not in ("", "a/"):
        with pytest.raises(StorageError):
            checked_prefix(key)


@pytest.mark.parametrize("key", ["a", "a/b.json", ".hidden", "a/...", "ä ö/ü", "a" * LONGEST_SEGMENT, "x/.everlearn"])
def test_others_are_the_key_itself(key: str) -> None:
    assert checked_key(key) == key
    assert checked_prefix(key) == key and checked_prefix(f"{key}/") == f"{key}/"
    assert checked_prefix("") == ""


@given(st.text(max_size=40))
def test_no_key_leads_out_of_a_folder(key: str) -> None:
    try:
        checked_key(key)
    except StorageError:
        return
    parts = key.split("/")
    assert all(part not in ("", ".", "..") for part in parts) and len(key.encode()) <= LONGEST_KEY
