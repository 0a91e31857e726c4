import io
import json
import os
import sys

import pytest

from orchestrator.cli.support.output import console, print_json, reserved_stdout
from tests.orchestrator.cli.commands import python

NOISE = """
import os, sys, subprocess
from orchestrator.cli.support.output import print_json, reserved_stdout
with reserved_stdout() as stdout:
    print("printed by a library")
    os.write(1, b"written by C code\\n")
    subprocess.run([sys.executable, "-c", "print('printed by a child')"])
    print_json({"a": [1, None], "b": "\\u00e9"}, stdout)
print("afterwards")
"""


def test_only_the_document_reaches_stdout() -> None:
    done = python(NOISE)
    document, _, rest = done.stdout.rpartition("}")
    assert json.loads(document + "}") == {"a": [1, None], "b": "é"}
    assert rest.strip() == "afterwards"
    for text in ("printed by a library", "written by C code", "printed by a child"):
        assert text in done.stderr


def test_a_replaced_stdout_is_reserved_too(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with reserved_stdout() as stdout:
        print("noise")
        print_json({}, stdout)
    assert (out.getvalue(), err.getvalue()) == ("{}\n", "noise\n")


def test_stdout_is_back_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), reserved_stdout():
        raise ZeroDivisionError
    os.write(1, b"here\n")
    assert capfd.readouterr().out == "here\n"


def test_json_refuses_what_is_not_json() -> None:
    with pytest.raises(ValueError):
        print_json({"loss": float("nan")}, io.StringIO())


def test_brackets_are_not_markup() -> None:
    out = io.StringIO()
    console(out).print("[bold] hidden: [400, 400]")
    assert out.getvalue() == "[bold] hidden: [400, 400]\n"
