from orchestrator.maintenance.store_report import later_commits


def test_the_longest_chain_that_follows_a_commit() -> None:
    parents = {"a": None, "b": "a", "c": "b", "d": "c", "x": "b", "other": None, "lost": "missing"}
    assert later_commits(parents, "b") == ["c", "d"]
    assert later_commits(parents, "a") == ["b", "c", "d"]
    assert later_commits(parents, "d") == []
    assert later_commits(parents, "missing") == ["lost"]
