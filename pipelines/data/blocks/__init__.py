"""Data larger than memory: blocks of samples, such as row groups of parquet files, are read when they are trained.

`block_index` knows all blocks of a dataset, by content hash; `block_samples` are samples over them, and `lane_reader`
reads them in the order of `strategies.loop.lane_order`, in threads and in bounded memory. A file format is read so by a
`BlockReader`. Datasets import `block_reader`, `block_dataset` and `block_tables`; `orchestrator` imports what makes the
index.
"""
