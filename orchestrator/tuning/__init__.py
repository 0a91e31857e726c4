"""Searching a pipeline's settings, and comparing pipelines, with Ray Tune: a trial is the whole stream.

`search.tune` and `comparison.compare` are what other rooms import. `ray_tune` runs trials, `trial` is what runs in
one, `trial_record` keeps what is known of each, so that a search resumes.
"""
