"""The Ray cluster that a run uses: connecting to it, and noticing when it fails.

`connect` starts a local cluster or connects to a remote one, `liveness` waits for work without hanging when Ray fails,
`worker_failures` describes the cause of a worker failure in one line, `log_levels` silences libraries, `shuffle_tasks`
shuffles data. Training, tuning, serving and the command line import these modules. Nothing here knows the pipeline.
"""
