"""The lineage as MLflow shows it. MLflow is a view: nothing here is read back, and all of it can be written again."""
