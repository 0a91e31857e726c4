"""Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747)."""

from __future__ import annotations

from pipelines.data.datasets.dataset import Dataset
from pipelines.data.datasets.idx_files import IdxDataset, IdxFile, Padding
from pipelines.data.datasets.init_formats import FolderFormat

FASHION_MNIST = IdxDataset(
    name="fashion-mnist",
    folders=("fashion-mnist", "FashionMNIST/raw", "."),
    files=(
        IdxFile(
            "train-images-idx3-ubyte", 47040016, "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        IdxFile("train-labels-idx1-ubyte", 60008, "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        IdxFile("t10k-images-idx3-ubyte", 7840016, "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        IdxFile("t10k-labels-idx1-ubyte", 10008, "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)
INIT_FORMAT = FolderFormat("the IDX files of Fashion-MNIST", FASHION_MNIST.found_in)


def load(folder: str | None = None, padding: Padding = 0) -> Dataset:
    """Articles of clothing: 60000 training and 10000 test images of 28x28, 10 classes; downloaded once (31 MB).

    Args:
        folder: the folder with the four IDX files, gzipped or not; by default the folder that the environment variable
            EVERLEARN_DATA names, then the cache, then the official mirrors are tried.
        padding: rows and columns of zeros on each side of an image: 2 makes it 32x32.
    """
    return FASHION_MNIST.load(folder, padding)
