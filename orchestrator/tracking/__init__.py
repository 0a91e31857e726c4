"""The lineage as MLflow shows it. MLflow is a view: nothing here is read back, and all of it can be written again.

`run_tracker` follows a run and `search_tracker` a search, which never wait for MLflow; `publish_lineage` writes what is
missing. `mlflow_client` is the one place that reaches the server. Figures and descriptions are pure functions of a
chain. Other folders import the trackers, `publish_lineage` and `mlflow_client`.
"""
