from collections.abc import Iterator

import pytest

from tests.docs.quick_commands import Loaded


@pytest.fixture(scope="module")
def standing_ray() -> Iterator[str]:
    """The address of a Ray of two CPUs that all pages share: to start one for each command would take minutes."""
    import ray

    from orchestrator.cluster.connect import cluster
    from orchestrator.cluster.log_levels import quiet
    from pipelines.config.load import load_text

    quiet()
    two = "name: x\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\nscaling: {workers: 2}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with cluster(None, load_text(two).scaling):
            yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Commands of the pages that need not load PyTorch."""
    with Loaded(tmp_path_factory.mktemp("loaded")) as found:
        yield found
