"""The chain of commits: what was learned, from what data, and what is remembered of it.

`plan` knows the id of each commit before it is trained, `commit` is the record, `lineage` reads and writes commits,
blobs and refs in a store, `claim` keeps two writers apart. `accuracy_matrix`, `running_matrix` and `chain_metrics`
derive the numbers from the records. Every other folder of `orchestrator` may import from here; this one imports
`storage` alone.
"""
