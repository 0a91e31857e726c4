import gc
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.spread_waiting import spread

# Tests run side by side, as many as there are cores: several threads in each would wait for one another, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine is no failure. For more than these examples: --hypothesis-profile=thorough.
settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=2000)
settings.load_profile("quick")

# Who starts the tests in the background of a script has SIGINT ignored, and so has all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason why tests were skipped: how many, and of which files."""
    counts: Counter[str] = Counter()
    files: dict[str, set[str]] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        counts[reason] += 1
        files.setdefault(reason, set()).add(report.nodeid.partition("::")[0])
    for reason, count in counts.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason} ({', '.join(sorted(files[reason]))})")


_SHARED_RAY = Path(__file__).parent / "orchestrator" / "tuning"
"""The folder whose modules share one Ray, by a fixture of the whole package."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, those that wait for Ray lie between those that compute."""
    if hasattr(config, "workerinput"):
        items[:] = spread(items, _SHARED_RAY)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded and collected stays: to look for garbage in it took a fifth of the time, in each process."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _no_ray_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a module that leaves this process connected to Ray: otherwise tests of later modules would fail."""
    yield
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized() or request.node.path.parent == _SHARED_RAY:
        return
    ray.shutdown()
    pytest.fail(
        f"{request.node.nodeid} left this process connected to Ray, where the next modules would find it: "
        "call ray.shutdown() at the end of the test or the fixture that connects",
        pytrace=False,
    )


_BESIDE_EXAMPLES = [file.stem for file in (Path(__file__).parents[1] / "pipelines" / "examples").glob("*.py")]
"""Modules that examples name beside their file: each test that writes an example has its own."""


@pytest.fixture(autouse=True)
def _no_module_of_an_example_is_left() -> Iterator[None]:
    yield
    found = [name for name in _BESIDE_EXAMPLES if sys.modules.pop(name, None) is not None]
    if found:
        from pipelines.config.component_options import _options_of
        from pipelines.config.components import _resolve

        _resolve.cache_clear()
        _options_of.cache_clear()


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Makes an empty MLflow database at a path, and gives its URI: the first takes seconds, the others are copies."""
    made: list[Path] = []

    def make(file: Path) -> str:
        if not made:
            from orchestrator.cluster.log_levels import quiet
            from orchestrator.tracking.mlflow_client import connect

            quiet()
            made.append(tmp_path_factory.mktemp("mlflow") / "mlflow.db")
            connect(f"sqlite:///{made[0]}").search_experiments()
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(made[0], file)
        return f"sqlite:///{file}"

    return make
