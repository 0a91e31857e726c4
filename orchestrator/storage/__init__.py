"""Where bytes are kept: a folder, an S3 bucket, or a store that a plug-in registers.

`store` is the contract: bytes by key, with the conditional writes on which the lineage relies. Other rooms import
`open_by_uri`, which opens a store, `tensors` (tensors as bytes) and `ray_filesystem` (the same place for Ray).
Nothing in here knows what the bytes mean.
"""
