"""Commits: identity, round trip, tampering."""

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import CorruptCommit, StorageError
from orchestrator.lineage.canonical_json import canonical_json, digest
from orchestrator.lineage.commit import FORMAT, Commit, commit_id
from tests.orchestrator.lineage.chains import make_commit

sha256 = st.binary(min_size=32, max_size=32).map(bytes.hex)
counts = st.integers(0, 2**53)
floats = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(min_size=1, max_size=20)
tests = st.lists(
    st.tuples(counts, words, counts, counts).map(
        lambda t: {"experience": t[0], "test": t[1], "correct": min(t[2:]), "total": max(t[2:])}
    ),
    max_size=3,
)
specs = st.dictionaries(
    words,
    st.recursive(
        st.none() | st.booleans() | st.integers() | floats | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)
commits = st.fixed_dictionaries(
    {
        "parent": st.none() | sha256,
        "pipeline": st.from_regex(r"[a-z0-9][a-z0-9._-]{0,30}", fullmatch=True),
        "experience": st.fixed_dictionaries(
            {
                "index": counts,
                "task": st.integers(-(2**63), 2**63 - 1),
                "classes": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
                "fingerprint": words,
                "samples": counts,
            }
        ),
        "spec": specs,
        "row": tests,
        "previous": tests,
        "baseline": tests,
        "blobs": st.dictionaries(words, st.fixed_dictionaries({"sha256": sha256, "bytes": counts}), max_size=3),
        "memories": st.dictionaries(
            words,
            st.fixed_dictionaries(
                {
                    "shards": st.lists(
                        st.fixed_dictionaries(
                            {
                                "experience": counts,
                                "sha256": sha256,
                                "bytes": counts,
                                "lengths": st.dictionaries(words, counts, max_size=3),
                            }
                        ),
                        max_size=2,
                    )
                }
            ),
            max_size=2,
        ),
        "losses": st.lists(st.tuples(counts, floats, counts), max_size=4),
        "steps": counts,
        "versions": st.dictionaries(words, words, max_size=3),
        "timings": st.dictionaries(words, floats, max_size=3),
    }
)


@settings(max_examples=80, deadline=None)
@given(commits)
def test_round_trip(fields: dict[str, Any]) -> None:
    commit = Commit.create(**fields)
    data = commit.to_json()
    assert Commit.parse(data, expected=commit.id) == commit
    assert Commit.parse(data).to_json() == data
    assert commit.id == commit_id(
        parent=fields["parent"], fingerprint=fields["experience"]["fingerprint"], spec=fields["spec"]
    )
    assert json.loads(data) == commit.document()
    assert {
        "parent",
        "pipeline",
        "experience",
        "spec",
        "row",
        "blobs",
        "memories",
        "losses",
    } <= commit.document().keys()


def test_the_id_depends_on_parent_data_and_spec_alone() -> None:
    one = make_commit(1, None, {"model": b"1"})
    same = make_commit(1, None, {"model": b"2"}, row=[], steps=7, versions={"torch": "3"}, pipeline="other")
    assert one.id == same.id and one.checksum != same.checksum
    ids = {
        one.id,
        make_commit(2, None, {}).id,
        make_commit(1, one, {}).id,
        make_commit(1, None, {}, spec={"seed": 1}).id,
    }
    assert len(ids) == 4


def test_the_id_is_the_hash_that_the_documentation_states() -> None:
    commit = make_commit(0, None, {})
    decisive = {"format": 1, "parent": None, "fingerprint": "data 0", "spec": commit.spec}
    assert commit.id == digest(decisive)


def test_specs_with_numbers_as_keys_keep_their_id() -> None:
    spec = {"per_experience": {9: {"lr": 1.0}, 10: {"lr": 2}}, "hidden": (4, 4)}
    commit = make_commit(0, None, {}, spec=spec)
    assert commit.id == commit_id(parent=None, fingerprint="data 0", spec=spec)
    assert Commit.parse(commit.to_json()).id == commit.id


def test_commits_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_commit(0, None, {}).steps = 3


def test_referenced_blobs() -> None:
    shard = {"experience": 0, "sha256": "ab" * 32, "bytes": 5, "lengths": {"all": 2}}
    commit = make_commit(0, None, {"model": b"xyz"}, memories={"replay": {"shards": [shard]}})
    assert commit.referenced() == {commit.blobs["model"].sha256: 3, "ab" * 32: 5}


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": 1},
        {"pipeline": "../etc"},
        {"parent": "abc"},
        {"steps": -1},
        {"losses": [[1, float("nan"), 2]]},
        {"timings": {"train": float("inf")}},
        {"spec": {"x": float("nan")}},
        {"row": [{"experience": 0, "test": "t", "correct": 3, "total": 2}]},
        {"blobs": {"model": {"sha256": "../../etc/passwd", "bytes": 1}}},
    ],
)
def test_what_makes_no_commit(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        make_commit(0, None, {}, **fields)


def _document(**changes: Any) -> dict[str, Any]:
    """A commit's document, changed by somebody who takes care that checksum and id are right again."""
    document = {**make_commit(0, None, {"model": b"1"}).document(), **changes}
    del document["checksum"]
    return {**document, "checksum": digest(document)}


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return [path]
    return [path, *(leaf for key, child in items for leaf in _leaves(child, (*path, key)))]


def test_every_change_is_seen() -> None:
    shard = {"experience": 0, "sha256": "ab" * 32, "bytes": 5, "lengths": {"all": 2}}
    commit = make_commit(
        1,
        make_commit(0, None, {}),
        {"model": b"1", "optimizer": b"22"},
        memories={"replay": {"shards": [shard]}},
        losses=[[1, 0.5, 3]],
        versions={"torch": "2"},
        timings={"learn": 1.5},
    )
    for path in _leaves(commit.document())[1:]:
        changed = commit.document()
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = "changed"
        with pytest.raises((CorruptCommit, StorageError)):
            Commit.parse(canonical_json(changed))
        del place[path[-1]]
        with pytest.raises(CorruptCommit):
            Commit.parse(canonical_json(changed))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"spec": {"seed": 1}}, "its id does not belong"),
        ({"parent": "ab" * 32}, "its id does not belong"),
        ({"id": "ab" * 32}, "its id does not belong"),
        ({"unknown": 1}, "unknown"),
        ({"steps": "7"}, "steps"),
        ({"steps": True}, "steps"),
        ({"created": "yesterday"}, "created"),
        ({"blobs": {"model": {"sha256": "../../x", "bytes": 1}}}, "blobs.model.sha256"),
        ({"format": 0}, "format"),
        ({"format": "1"}, "format"),
    ],
)
def test_changes_under_a_right_checksum(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(CorruptCommit, match=f"here: damaged: {problem}"):
        Commit.parse(canonical_json(_document(**changes)), source="here")


def test_a_key_that_stands_twice_is_refused_under_the_hash_of_its_bytes() -> None:
    """Readers differ in which of two values they take."""
    data = make_commit(0, None, {}).to_json()
    seal = f'"checksum":"{json.loads(data)["checksum"]}",'.encode()
    twice = data.replace(seal, b"").replace(b'"pipeline":', b'"pipeline":"other","pipeline":', 1)
    again = twice.replace(b'"created"', b'"checksum":"%s","created"' % hashlib.sha256(twice).hexdigest().encode(), 1)
    with pytest.raises(CorruptCommit, match="twice"):
        Commit.parse(again)


def test_a_commit_under_another_name() -> None:
    commit = make_commit(0, None, {})
    with pytest.raises(CorruptCommit, match="stored under the wrong name"):
        Commit.parse(commit.to_json(), expected="ab" * 32)


@pytest.mark.parametrize("found", [FORMAT + 1, 10**30])
def test_a_newer_format_is_refused_with_the_remedy(found: int) -> None:
    document = {**make_commit(0, None, {}).document(), "format": found, "new": "field", "checksum": "other"}
    with pytest.raises(StorageError, match=r"newer Everlearn(.|\n)*Upgrade Everlearn") as caught:
        Commit.parse(canonical_json(document), source="here")
    assert not isinstance(caught.value, CorruptCommit) and str(caught.value).startswith("here: ")


def test_formatting_is_not_content() -> None:
    commit = make_commit(0, None, {})
    assert Commit.parse(json.dumps(commit.document(), indent=2).encode()) == commit


def test_what_somebody_else_wrote_is_not_repeated_at_length() -> None:
    with pytest.raises(CorruptCommit) as caught:
        Commit.parse(canonical_json(_document(**{"x" * 5000: "y" * 5000})), source="here")
    assert len(str(caught.value)) < 600


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StorageError):
        Commit.parse(data)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | sha256,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(Commit.model_fields)), anything)
def test_any_value_in_any_field_is_read_or_refused(field: str, value: Any) -> None:
    document = {**make_commit(0, None, {}).document(), field: value}
    document.pop("checksum") if field != "checksum" else None
    with contextlib.suppress(ValueError):
        document = {"checksum": digest(document), **document}
    with contextlib.suppress(StorageError):
        commit = Commit.parse(json.dumps(document).encode())
        assert Commit.parse(commit.to_json()) == commit
