"""Networks that grow, share out their weights or stand beside the model, and the handling of a model's last layer.

The methods that change a network's structure build on these: progressive columns, packed networks, feature
extractors, side networks, a variational autoencoder. `frozen_parts` stores once what never changes again.
"""
