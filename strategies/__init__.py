"""How not to forget: the strategies, their contract, the learning loop, and the mathematics beneath them.

Plain PyTorch: nothing here knows of Ray, MLflow, S3 or pipeline files.
"""
