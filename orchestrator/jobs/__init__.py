"""Pipelines as jobs on a Ray cluster that runs elsewhere: submit, status, logs, stop.

`client` speaks to Ray's Jobs API through `dashboard_client`, `runtime_env` packs what a job takes along,
`expected_outcome` says where its result will be, and `lost_nodes` why something of it was lost. `relay` carries the
progress of a job to the terminal of whoever follows it, `kubernetes` renders the same job as a RayJob. The command
line imports these; training does not.
"""
