"""Datasets: each kind's `load` gives one, as `dataset` defines it.

`digits`, `mnist` and `fashion_mnist` are named data; `npz` and `parquet` read a person's files by way of `tables`,
`labels` and `location`. Adding a kind takes one file here and one line in `pipelines.config.components`.
"""
