"""The contract of a strategy: what a plug-in subclasses and what it is given.

`strategy` has the hooks and when they are called, `data` the samples, experiences and batches, `compatibility`
which strategies work together, `guide` and `selection_rules` when to use which. Plug-ins import these names from
`strategies`.
"""
