"""Where bytes are kept: a folder or an S3 bucket, with the conditional writes that the lineage relies on."""

from orchestrator.storage.store import Store, open_store

__all__ = ["Store", "open_store"]
