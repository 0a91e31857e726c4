"""What comes from a store, a file, a claim, a server or a job reaches the terminal as text, and JSON as escapes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from orchestrator.cli.main import invoke
from orchestrator.lineage.claim import claimed
from orchestrator.lineage.claim_holder import Holder
from orchestrator.lineage.lineage import Lineage
from orchestrator.storage.folder_store import FolderStore
from tests.orchestrator.cli.lineages import write_lineage, write_pipeline
from tests.orchestrator.jobs_server import JobsServer

EVIL = "\x1b]0;pwned\x07\x1b[2J\x9b31m\x85\u202egnp.exe\u2066\u200f\u061c"
NAMES = [EVIL.replace("/", ""), "\x1b[31m", "\u202etxt", os.fsdecode(b"\x9b2J\xff"), "Icon\r"]


def is_safe(text: str) -> bool:
    return text.replace("\n", "").replace("\t", "").isprintable()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command writes, once for a person and once as JSON; both are safe."""
    shown = ""
    for extra in ([], ["--json"]):
        invoke([*arguments, *extra])
        out, err = capsys.readouterr()
        assert is_safe(out), (arguments, extra, ascii(out))
        assert is_safe(err), (arguments, extra, ascii(err))
        if extra and out:
            json.loads(out)
        shown += out + err
    return shown


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which hostile text stands wherever somebody else could have written it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVERLEARN_STORAGE", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    write_pipeline(tmp_path)
    last = write_lineage(tmp_path)[-1]
    lineage = Lineage(FolderStore(tmp_path / ".everlearn/store"), "small")
    document = last.document()
    document["spec"] = {"seed": 0, "model": {"name": EVIL, EVIL: [EVIL]}, "strategy": [{"name": EVIL}]}
    document["versions"] = {EVIL: EVIL}
    document["timings"] = {EVIL: 1.0}
    document["experience"]["fingerprint"] = EVIL
    document["memories"] = {EVIL: document["memories"]["replay"]}
    given = {key: value for key, value in document.items() if key in type(last).model_fields}
    hostile = type(last).create(
        **{key: value for key, value in given.items() if key not in ("id", "format", "created", "checksum")}
    )
    lineage.write(hostile)
    lineage.point("latest", hostile.id)
    folder = tmp_path / ".everlearn/store/small"
    for name in NAMES:
        for place in (folder, folder / "commits", folder / "refs", folder / "claims", folder.parent):
            place.mkdir(exist_ok=True)
            (place / name).write_text(EVIL)
    (folder / "commits" / f"{'ab' * 32}.json").write_text(EVIL)
    return folder


COMMANDS = [
    ["log", "small.yaml"],
    ["show", "latest", "small.yaml"],
    ["show", "abab", "small.yaml"],
    ["show", EVIL, "small.yaml"],
    ["fsck", "small.yaml"],
    ["fsck"],
    ["fsck", "--repair"],
    ["gc", "small.yaml", "--dry-run"],
    ["gc", "small.yaml"],
    ["forget", "small.yaml", "--ids", "ids.txt"],
    ["copy", ".everlearn/store", "other"],
    ["recommend", "small.yaml"],
    ["publish", "small.yaml"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: ascii(" ".join(arguments[:3])))
def test_a_store_cannot_control_the_terminal(
    arguments: list[str], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("ids.txt").write_text("7\n8\n")
    assert run(capsys, *arguments)


def test_the_text_is_shown_written_out(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\\x9b31m" in run(capsys, "show", "latest", "small.yaml")
    assert "\\u202etxt" in run(capsys, "fsck", "small.yaml")


def test_the_holder_of_a_claim(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lineage = Lineage(FolderStore(store.parent), "small")
    with claimed(lineage, "run"):
        for file in (store / "claims").glob("*.json"):
            holder = Holder.parse(file.read_bytes(), "claim")
            changed = holder.model_copy(update={"host": EVIL, "since": EVIL[:40]})
            file.write_bytes(changed.to_json())
        invoke(["gc", "small.yaml", "--now"])
        err = capsys.readouterr().err
        assert "\\x9b31m" in err and is_safe(err)


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        (f'name: "{EVIL}"\nstream: {{dataset: digits}}\nmodel: mlp\n'.encode(), []),
        (b'name: "\\e[2J\\x9b\\u202e"\n"\\e[2J\\u202e": 1\nstream: {dataset: "\\e[2J\\x9b"}\nmodel: "\\u202e"\n', []),
        (
            b"name: small\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\n",
            ["--set", f"{EVIL}={EVIL}"],
        ),
        (b"name: small\nstream: {dataset: digits}\nmodel: mlp\n", ["--set", f"model={{name: '{EVIL}:x'}}"]),
        (
            b"name: small\nstream: {dataset: {name: npz, path: '\\u202e'}, setting: class-incremental}\nmodel: mlp\n",
            ["--set", 'stream.dataset.path="\\e[2J\\x9b\\u202e/no.npz"'],
        ),
    ],
)
@pytest.mark.parametrize("command", ["validate", "run", "log", "recommend"])
def test_a_pipeline_file(
    file: bytes,
    arguments: list[str],
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.yaml").write_bytes(file)
    if command == "run":
        arguments = [*arguments, "--set", "train.steps=0"]
    run(capsys, command, "evil.yaml", *arguments)


def test_a_job(jobs_server: JobsServer, capsys: pytest.CaptureFixture[str]) -> None:
    jobs_server.written["job-1"] = f"{EVIL}\n"
    jobs_server.submitted[0]["metadata"]["everlearn.pipeline"] = EVIL
    jobs_server.ended["job-1"] = "SUCCEEDED"
    for command in (["status"], ["logs", "job-1"], ["status", EVIL], ["stop", EVIL]):
        run(capsys, *command)


def test_words_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["validate", EVIL],
        ["copy", EVIL, EVIL],
        ["list", EVIL],
        ["log", f"--{EVIL}"],
        ["init", EVIL],
        [EVIL],
    ):
        run(capsys, *command)
