"""The learning loop: forward, backward, accumulation, clipping, steps, evaluation, exact at any number of ranks.

`learner` is the loop. `sampling` decides which samples make up each global batch, `global_loss` and `process_group`
combine the ranks, `train_settings` makes optimisers and schedulers. Methods use the `Learner` that their hooks are
given. Other rooms import `Learner` and what else they use from its own module.
"""
