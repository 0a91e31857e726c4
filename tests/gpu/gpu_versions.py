"""The machine and what is installed on it."""

from __future__ import annotations

import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

PACKAGES = ("torch", "numpy", "scipy", "pydantic", "pytest", "ray", "mlflow")


def versions() -> dict[str, str]:
    """Versions and the device, by what they are of."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["cuda"] = str(torch.version.cuda)
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["cudnn"] = str(torch.backends.cudnn.version())
        found["device"] = (
            f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, sm_{properties.major}{properties.minor}"
        )
    return found


def no_gpu() -> str:
    """Why nothing can run here; empty where there is a GPU."""
    if torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA"
    return "there is no GPU here that torch can use (torch.cuda.is_available() is False)"


def lacking(*packages: str) -> list[str]:
    """Those of the packages that are not installed."""
    return [name for name in packages if importlib.util.find_spec(name) is None]
