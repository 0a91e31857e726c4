"""Data larger than memory: blocks of samples, such as the row groups of parquet files, that are read when it is time.

`block_index` knows all blocks of a dataset, by content hash; `block_samples` are samples over them, and `lane_reader`
reads them in the order of `strategies.loop.lane_order`, in threads and in bounded memory. A file format takes part by a
`BlockReader`.
"""
