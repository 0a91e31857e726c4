"""Care of a store: verify it (fsck), remove what is not needed (gc), forget samples, copy.

Each file is one command of `everlearn`; what changes a store holds the pipeline's claim while it works.
`store_contents` lists what lies in a store, `check_shards` and `rewrite_commit` are shared by the commands. Only
`orchestrator.cli` and `orchestrator.checkpointing` import from here.
"""
