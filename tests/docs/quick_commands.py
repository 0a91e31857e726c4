"""Commands of the pages without the time to load PyTorch and MLflow: what has loaded them forks one for each command.

    with Loaded(folder) as loaded:      # folder / "everlearn" and folder / "python3" are programs now
        subprocess.run(["bash", "-c", "everlearn run a.yaml"], env={"PATH": f"{loaded.folder}:..."})

A program there hands its arguments, folder, environment and open files to that process, passes signals on, and ends
with the exit status of the command. How long the command itself takes to load is not what the pages' tests are about.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import types
from pathlib import Path
from typing import NoReturn, Self

from orchestrator.cluster.log_levels import quiet

LOADED = (
    *("torch", "torch._dynamo", "torch.export", "torch.export._trace", "torch.export.pt2_archive"),
    *("numpy", "scipy.stats", "pandas", "pyarrow.parquet", "yaml", "pydantic", "boto3", "mlflow"),
    *("mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "rich.table", "rich.console"),
    *("orchestrator.cli.main", "orchestrator.training.driver", "orchestrator.training.rank"),
    *("orchestrator.tracking.run_tracker", "pipelines.config.load", "pipelines.build", "strategies.loop.learner"),
)
_MESSAGE, _FILES = 1 << 20, 3

# The program: nothing but what Python's start loads, so that it takes a fiftieth of a second.
_PROGRAM = """\
#!{python} -SE
import json, os, signal, socket, sys
kind = os.path.basename(sys.argv[0])
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    request = json.dumps([kind, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(line, [len(request).to_bytes(4, "big")], [0, 1, 2])
    line.sendall(request)
    answers = line.makefile()
    pid = int(answers.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: os.kill(pid, n))
    status = int(answers.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


class Loaded:
    """The process that has everything loaded, and the folder of programs that ask it.

    Attributes:
        folder: for PATH: `everlearn`, and `python3`, which takes `-c CODE`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        address = str(folder / "line")
        for name in ("everlearn", "python3"):
            (folder / name).write_text(_PROGRAM.format(python=sys.executable, address=address))
            (folder / name).chmod(0o755)
        command = [sys.executable, "-m", "tests.docs.quick_commands", address]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        while not (folder / "line").exists():
            assert self._process.poll() is None, "the process that loads everything has ended"
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


PIPELINE = "name: any\nstream: {dataset: digits, experiences: 2}\nmodel: mlp\n"


def _serve(address: str) -> NoReturn:
    quiet()
    for name in LOADED:
        importlib.import_module(name)
    importlib.import_module("pipelines.config.load").load_text(PIPELINE)  # loads what checks a file
    assert threading.active_count() == 1, "a process that forks has no threads"
    gc.freeze()  # else each child copies what it looks through for garbage
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for who answers
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address + ".new")
        listening.listen()
        Path(address + ".new").rename(address)
        while True:
            line, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                _answer(line)
            line.close()


def _answer(line: socket.socket) -> NoReturn:
    """Run one command in a process of its own, and answer with its id and its status; a signal's number is negative."""
    head, files, _, _ = socket.recv_fds(line, 4, _FILES)
    size, data = int.from_bytes(head, "big"), b""
    while len(data) < size:
        data += line.recv(min(_MESSAGE, size - len(data)))
    kind, arguments, folder, environment = json.loads(data)
    pid = os.fork()
    if pid == 0:
        line.close()
        _command(kind, arguments, folder, environment, files)
    for number in files:
        os.close(number)
    line.sendall(f"{pid}\n".encode())
    _, ended = os.waitpid(pid, 0)
    line.sendall(f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _command(kind: str, arguments: list[str], folder: str, environment: dict[str, str], files: list[int]) -> NoReturn:
    os.setsid()
    for place, number in enumerate(files):
        os.dup2(number, place)
        os.close(number)
    # Those that Python made when it started belong to other files: of another kind, such as one that can be sought.
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    status = 1
    try:
        if kind == "everlearn":
            sys.argv = [kind, *arguments]
            importlib.import_module("orchestrator.cli.main").main()
        else:
            sys.argv = ["-c", *arguments[2:]]
            sys.path.insert(0, "")
            exec(compile(arguments[1], "<string>", "exec"), main.__dict__)  # as `python -c` does
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])
