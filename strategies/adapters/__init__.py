"""Small trainable parts inside a frozen model: low-rank adapters, and the network that has one for each experience.

`low_rank` has the layer and puts it into a model, `adapted_network` is a model with adapters and heads by experience.
They use torch alone; names and shapes are those of PEFT, so that an exported adapter is one of its files.
"""
