"""The Ray cluster that a run uses: connecting to it, and knowing what became of it.

`connect` starts a local cluster or joins a remote one, `liveness` waits for work without hanging when Ray is gone,
`worker_failures` puts the cause of a failure into one line, `log_levels` keeps noise away. Nothing here knows what is
learned.
"""
