"""Serving: the model that a ref names answers over HTTP, and follows the ref; models that leave Everlearn.

`ref_follower` asks which commit is to be served, `model_swap` loads it beside the one that answers and puts it in its
place. `request_body` and `batch_answers` make answers of requests, `text_requests` and `text_answers` do so for
language models, and `http_service` is what clients see. `local_server` runs all this in one process, `ray_deployment`
on Ray Serve. `shadow_comparison` puts recorded requests to two commits, `export_folder` writes a model as files that
need no Everlearn.
"""
