"""What the pages show works as it is written.

The language of a code block says what happens to it; the blocks of a page share a folder and come in their order.

    bash      run by the shell, and must succeed
    sh        needs what a test has not (a cluster, a server); its commands and options must exist
    python    run; with a file as title written to it; with another program as title only compiled
    yaml      with a file as title written to it and loaded; else checked as a part of a pipeline file
    toml      parsed
    text      output or a message, for the eye
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
import yaml

from orchestrator.cli.main import everlearn
from pipelines.config.load import load_text
from tests.docs.pages import ROOT, Block, Page, pages
from tests.docs.quick_commands import Loaded
from tests.s3.server import server, use

TRAINS = re.compile(r"everlearn (run|step|tune|compare)\b|\b(run|tune|compare)\(")
RAY = re.compile(r"workers")
OTHER_PROGRAMS = ("Avalanche", "Renate")
ON_SERVERS = ("tutorials/stream-to-serving.md",)  # `tests/e2e/test_tutorial.py` runs it, twice
AS_TYPED = ("quickstart.md",)  # its commands load all that they need themselves, as a person's do
BASE = {"name": "page", "stream": {"dataset": "digits", "experiences": 5}, "model": {"name": "mlp", "hidden": [16]}}


def trains(block: Block) -> bool:
    """Whether running a block trains something."""
    return block.language in ("bash", "python") and not block.title and TRAINS.search(block.text) is not None


def on_ray(block: Block) -> bool:
    """Whether running a block needs Ray: one worker trains without it, and so do searches and comparisons of one."""
    return trains(block) and RAY.search(block.text) is not None


def runs(page: Page) -> bool:
    return any(block.language in ("bash", "python", "yaml") for block in page.blocks)


def cases() -> Iterator[object]:
    for page in pages():
        if runs(page) and page.name not in ON_SERVERS:
            slow = [pytest.mark.slow] if any(map(trains, page.blocks)) else []
            slow += [pytest.mark.ray] if any(map(on_ray, page.blocks)) else []
            s3 = [pytest.mark.s3] if page.settings.get("s3") else []
            yield pytest.param(page, id=page.name, marks=[*slow, *s3])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, which programs take for the whole world: no storage or tracking of elsewhere."""
    for name in ("EVERLEARN_STORAGE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for file in tmp_path.glob("*.pid"):  # what a page has started and, where it failed, not ended
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGTERM)
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", list(cases()))
def test_every_block_of_a_page_works(
    page: Page, folder: Path, request: pytest.FixtureRequest, new_database: Callable[[Path], str]
) -> None:
    monkeypatch = request.getfixturevalue("monkeypatch")
    if page.settings.get("s3"):
        running = server()
        use(running.environment, monkeypatch)
        _make_bucket(running.environment["AWS_ENDPOINT_URL"])
    if any(map(trains, page.blocks)):
        new_database(folder / ".everlearn" / "mlflow.db")
    python = sys.executable
    if page.name not in AS_TYPED and any(block.language in ("bash", "python") for block in page.blocks):
        loaded: Loaded = request.getfixturevalue("loaded")
        python = str(loaded.folder / "python3")
        monkeypatch.setenv("PATH", f"{loaded.folder}{os.pathsep}{os.environ['PATH']}")
    # One Ray for all blocks that need it, started once: each would start its own.
    ray = {"RAY_ADDRESS": request.getfixturevalue("standing_ray")} if any(map(on_ray, page.blocks)) else {}
    for block in page.blocks:
        where = f"{page.name}:{block.line}"
        environment = {**os.environ, **(ray if on_ray(block) else {})}
        if block.language == "bash":
            _run(["bash", "-euo", "pipefail", "-c", block.text], environment, where)
        elif block.language == "python" and not block.title:
            _run([python, "-c", block.text], environment, where)
        elif block.language == "python":
            ast.parse(block.text, where)
            if block.title not in OTHER_PROGRAMS:
                (folder / block.title).write_text(block.text)
        elif block.language == "yaml":
            _check_yaml(block, folder, where)


def _make_bucket(endpoint: str) -> None:
    import boto3

    boto3.resource("s3", endpoint_url=endpoint).Bucket("my-bucket").create()


def _run(command: list[str], environment: dict[str, str], where: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{where} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def _check_yaml(block: Block, folder: Path, where: str) -> None:
    if block.title:
        (folder / block.title).write_text(block.text)
    document = yaml.safe_load(block.text)
    if isinstance(document, dict) and "apiVersion" in document:
        return
    assert isinstance(document, dict), where
    load_text(block.text if "name" in document else yaml.safe_dump({**BASE, **document}))


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in pages()])
def test_every_block_has_a_language_that_is_checked(page: Page) -> None:
    for block in page.blocks:
        where = f"{page.name}:{block.line}"
        assert block.language in ("bash", "sh", "python", "yaml", "toml", "text"), where
        if block.language in ("bash", "sh"):
            for line in _commands(block.text):
                _parse(line, where)
        if block.language == "toml":
            tomllib.loads(block.text)
        if block.language == "python" and block.title:
            assert block.title.endswith(".py") or block.title in OTHER_PROGRAMS, where


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in pages()])
def test_every_command_in_the_prose_exists(page: Page) -> None:
    for text in re.findall(r"`everlearn ([a-z][^`]*)`", page.prose):
        _parse(f"everlearn {text}", f"{page.name}: {text}")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"`make ([a-z]+)", page.prose):
        assert target in targets, f"{page.name}: make {target}"


def _commands(text: str) -> list[str]:
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if re.match(r"\s*everlearn ", line)]


def _parse(line: str, where: str) -> None:
    """Let click read a command's options, without running it."""
    words = shlex.split(re.split(r" [|>&]+ | {3,}|;", line, maxsplit=1)[0], comments=True)
    name, arguments = words[1], words[2:]
    if name.startswith("-"):
        return
    assert name in everlearn.commands, f"{where}: there is no command {name!r}"
    command = everlearn.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    for word in arguments:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{where}: {name} has no option {word}"
    if "--" in " ".join(arguments) or "FILE" in arguments or "|" in line:
        return
    with click.Context(command, info_name=name) as context:
        command.parse_args(context, arguments) if arguments else None


def test_the_callback_of_the_page_is_the_example() -> None:
    """The example is a file too, which the tests of callbacks load."""
    page = next(page for page in pages() if page.name == "how-to/callbacks.md")
    shown = [block.text for block in page.blocks if block.title == "csv_callback.py"]
    assert shown == [(ROOT / "docs" / "examples" / "csv_callback.py").read_text()]
