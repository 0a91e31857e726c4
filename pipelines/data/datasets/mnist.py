"""MNIST (LeCun et al. 1998, Gradient-based learning applied to document recognition)."""

from __future__ import annotations

from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.idx_files import IdxDataset, IdxFile, Padding
from pipelines.data.datasets.init_formats import FolderFormat

MNIST = IdxDataset(
    name="mnist",
    folders=("mnist", "MNIST/raw", "."),
    files=(
        IdxFile(
            "train-images-idx3-ubyte", 47040016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        IdxFile("train-labels-idx1-ubyte", 60008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        IdxFile("t10k-images-idx3-ubyte", 7840016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        IdxFile("t10k-labels-idx1-ubyte", 10008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
    ),
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
)
INIT_FORMAT = FolderFormat("the IDX files of MNIST", MNIST.found_in)


def load(folder: str | None = None, padding: Padding = 0) -> Dataset:
    """Handwritten digits: 60000 training and 10000 test images of 28x28, 10 classes; downloaded once (11 MB).

    Args:
        folder: the folder with the four IDX files, gzipped or not; by default the folder that the environment variable
            EVERLEARN_DATA names, then the cache, then the official mirrors are tried.
        padding: rows and columns of zeros on each side of an image: 2 makes it 32x32.
    """
    return MNIST.load(folder, padding)
