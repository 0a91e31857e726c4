"""Serving the model that a ref names over HTTP, and writing models as files.

`ref_follower` reads which commit is to be served, `model_swap` loads it beside the one that answers and then replaces
that. `request_body` and `batch_answers` make answers of requests, `text_requests` and `text_answers` do so for language
models, and `http_service` is what clients see. `local_server` runs all this in one process, `ray_deployment` on Ray
Serve. `shadow_comparison` sends recorded requests to two commits, `export_folder` writes a model as files that need no
Everlearn. Only `orchestrator.cli` imports from here.
"""
