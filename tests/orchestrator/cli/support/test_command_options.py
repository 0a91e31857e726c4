from orchestrator.cli.support.command_options import as_arguments


def test_hints_repeat_only_what_finds_the_same_store_and_runs() -> None:
    overrides = ["train.epochs=2", "storage=s3://b/p q", "tracking.uri=http://x", "name=other", "names=1"]
    expected = "a.yaml --set 'storage=s3://b/p q' --set tracking.uri=http://x --set name=other"
    assert as_arguments("a.yaml", overrides) == expected


def test_a_file_with_a_space_is_quoted() -> None:
    assert as_arguments("my file.yaml", []) == "'my file.yaml'"
