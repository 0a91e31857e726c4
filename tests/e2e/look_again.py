"""`python -m tests.e2e.look_again ADDRESS FOLLOWED`: what status and logs say of a job that was followed to its end.

In one process. FOLLOWED is the file with what `everlearn submit --follow` has printed; the token is in the file that
RAY_AUTH_TOKEN_PATH names.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

from orchestrator.cli.main import invoke
from tests.orchestrator.jobs_server import authority, tls_proxy


def main(address: str, followed: str) -> None:
    told = [followed]
    assert followed.splitlines()[-1] == "succeeded" and "average accuracy" in followed, followed

    def command(*arguments: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = invoke(arguments)
        told.append(out.getvalue())
        assert status == 0, (arguments, out.getvalue())
        return out.getvalue()

    here, job = ("--address", address), followed.split()[1]
    listed = json.loads(command("status", *here, "--json"))
    assert [(one["job"], one["status"], one["exit_status"]) for one in listed] == [(job, "SUCCEEDED", 0)], listed
    assert job in command("status", *here)
    lines = json.loads(command("logs", job, *here, "--tail", "3", "--json"))["lines"]
    assert len(lines) == 3 and all(line in followed for line in lines), lines
    with tempfile.TemporaryDirectory() as folder:
        ca, certificate = authority(Path(folder))
        with tls_proxy(int(address.rpartition(":")[2]), certificate) as proxied:
            assert "average accuracy" in command("logs", job, "--follow", "--address", proxied, "--ca", str(ca))
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text()
    for text in told:
        assert "\x1e" not in text and token not in text
    print(f"{job}: its status, and its logs, over TLS, too")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_text())
