"""What is right: the loss of a sample, its likelihood, and how far a student is from its teacher.

`objective` is the contract, and each objective has a file here. The learning loop, the reference gradients of GEM and
A-GEM, the Fisher information and distillation use the learner's objective, and have no loss of their own. All rooms
import `objective`; the objectives themselves are imported by name, when a pipeline file names one.
"""
