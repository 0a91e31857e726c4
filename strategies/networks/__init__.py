"""Networks that grow, divide their weights among tasks or are trained beside the model; a model's last layer.

The methods that change a network's structure build on these: progressive columns, packed networks, feature extractors,
side networks, a variational autoencoder. `frozen_parts` stores once what never changes again. Methods and adapters
import these modules; `orchestrator` imports `frozen_parts` and `task_network`.
"""
