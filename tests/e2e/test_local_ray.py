"""One run on a Ray of this machine where much is unusual at once: to start one for each would take a minute.

The path of Python and of Ray has a space. The project has packages named like Everlearn's. Secrets are planted wherever
a person may have them, and Ray's logs are searched for them, too.

Covers: `orchestrator/cluster/package_names.py`
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cluster.local_environment import LocalEnvironment
from tests.faults.test_secrets import Place, place
from tests.test_package_names import PIPELINE, write_project

__all__ = ["place"]

# Where the worker is found: what it learns with says so.
MINE = '''\
import sys
from pathlib import Path

from strategies import Strategy


class Mine(Strategy):
    """Mine."""

    def after_experience(self, *_):
        Path(__file__).with_name("worker").write_text(f"{sys.executable}\\n{sys.argv[0]}\\n")
'''


@pytest.fixture
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python in a folder whose name has a space, with what is installed here; Ray by a path with a space, too."""
    folder = tmp_path_factory.mktemp("my folder")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    ours = [path for path in sys.path if path.endswith("site-packages")]
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "ray").symlink_to(Path(LocalEnvironment.current().ray))
    (site / "ours.pth").write_text("\n".join([*ours, str(Path(__file__).parents[2])]))
    program = folder / "bin" / "everlearn"  # as the installation makes it
    program.write_text("from orchestrator.cli.main import main\n\nif __name__ == '__main__':\n    main()\n")
    return folder / "bin" / "python"


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_where_much_is_unusual(python: Path, place: Place) -> None:
    write_project(place.folder)
    (place.folder / "strategies" / "deep" / "mine.py").write_text(MINE)
    (place.folder / "p.yaml").write_text(
        PIPELINE + 'storage: "${EVERLEARN_STORAGE}"\ntracking: {uri: "${MLFLOW_TRACKING_URI}"}\n'
    )
    command = [str(python), str(python.with_name("everlearn")), "run", "p.yaml", "--address", "local"]
    assert json.loads(place.process(*command, "--json", "--debug", "--verbose"))["trained"] == 2
    where, started = (place.folder / "strategies" / "deep" / "worker").read_text().splitlines()
    assert where == str(python) and started.endswith("default_worker.py")
    written = {path.name for path in place.folder.rglob("*")}
    assert "store" in written and any(name.startswith("session_") for name in written)
    assert place.leaks() == []
