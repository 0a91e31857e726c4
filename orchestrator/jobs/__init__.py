"""Pipelines as jobs on a remote Ray cluster: submit, status, logs, stop.

`client` uses the Jobs API of Ray through `dashboard_client`, `runtime_env` packs the files and the environment of a
job, `expected_outcome` says where its result will be, and `lost_nodes` why it lost nodes or workers. `relay` sends the
progress of a job to the terminal that follows it, `kubernetes` renders the same job as a RayJob. Only
`orchestrator.cli` imports from here.
"""
