"""Statistics of change between samples of data: plain functions of numpy arrays, without files, models or clusters.

`two_sample` compares two samples of inputs, `label_change` their class counts, `verdicts` decides whether a chunk of
data differs from the chunks before it. `stream_drift` applies them to the experiences of a stream. Only
`orchestrator.cli`, `orchestrator.tracking` and `orchestrator.updates` import from here.
"""
