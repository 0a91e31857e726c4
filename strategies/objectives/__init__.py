"""What is right: the loss of a sample, its likelihood, and how far a student is from its teacher.

`objective` is the contract, and each objective has a file here. The learning loop, the reference gradients of GEM and
A-GEM, the Fisher information and distillation ask the learner's objective, and know no loss of their own.
"""
