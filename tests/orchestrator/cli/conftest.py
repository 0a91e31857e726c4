from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def standing_ray() -> Iterator[None]:
    """A Ray of two CPUs for all commands of a module: `RAY_ADDRESS` leads there."""
    import ray

    from orchestrator.cluster.connect import cluster
    from orchestrator.cluster.log_levels import quiet
    from pipelines.config.load import load_text

    quiet()
    two = "name: x\nstream: {dataset: digits, setting: class-incremental}\nmodel: mlp\nscaling: {workers: 2}\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with cluster(None, load_text(two).scaling):
            patch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
            yield
