"""Datasets: each module's `load` returns one, as `dataset` defines it.

`digits`, `mnist` and `fashion_mnist` are well-known datasets; `npz`, `parquet`, `csv_files` and `jsonl_files` read a
user's files with `tables`, `labels` and `location`. Adding a kind takes one file here and one line in
`pipelines.config.components`. Other folders import `dataset`, `tables`, `labels` and `location`; the datasets
themselves are imported by name, when a pipeline file names one.
"""
