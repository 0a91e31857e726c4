"""Training on Ray: the driver, the Ray Train run, and what each worker does.

`driver.run` is what other rooms import. It starts `ray_train`, whose workers run `worker` and, in it, one `rank` of
the learning loop. What observes a run (events, loss curve, Prometheus, preemption notices) is beside it.
"""
