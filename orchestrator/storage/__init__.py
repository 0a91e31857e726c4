"""Where bytes are kept: a folder, an S3 bucket, or a store that a plug-in registers.

`store` is the contract: bytes by key, with the conditional writes on which the lineage relies. Other rooms import
`open_by_uri`, which opens a store, `tensors` (tensors as bytes) and `ray_filesystem` (the same place for Ray).
`conformance` has the checks that a store of a plug-in must pass.
Nothing in here knows what the bytes mean.
"""
